//! Deletes of all kinds, and merging of files.

use tandem_model::TimeRange;

use super::Life;
use crate::op::Target;

impl Life {
    pub(super) fn delete(
        &mut self,
        _target: Target,
        _part: &str,
        _range: TimeRange,
    ) -> Result<(), String> {
        Ok(())
    }

    pub(super) fn drop_series(&mut self, target: Target, part: &str) -> Result<(), String> {
        self.delete(target, part, TimeRange::ALL)
    }

    pub(super) fn drop_measurement(&mut self, _target: Target, _name: &str) -> Result<(), String> {
        Ok(())
    }

    pub(super) fn drop_shard(&mut self, _nth: usize) -> Result<(), String> {
        Ok(())
    }

    pub(super) fn enforce_retention(&mut self) -> Result<(), String> {
        Ok(())
    }

    pub(super) fn compact(&mut self) -> Result<(), String> {
        Ok(())
    }
}
