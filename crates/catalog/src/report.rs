//! What opening a catalog found.

use tandem_seglog::Corruption;

/// What opening a catalog found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenReport {
    /// Records of the log that were read.
    pub records: u64,
    /// What became of the view.
    pub view: ViewFound,
    /// Damage to the log that has cost nothing: it lies before the last snapshot, or the view still knew
    /// everything ([`OpenReport::healed`]).
    pub corruptions: Vec<Corruption>,
    /// The log had lost operations that the view still knew, and was written anew from it.
    pub healed: bool,
}

/// What was found where the view should be. One that has operations which the log has not is proof that those are
/// lost, and the catalog does not open ([`crate::CatalogError::Shortened`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ViewFound {
    /// It fits the log and is used. In all other cases it was built again.
    Fits,
    /// None, or none that was closed: a first start, a crash, or someone removed it.
    Missing,
    /// It lacks operations that the log has.
    Older,
    /// It has as many operations as the log, and other ones: one of the two was restored from a backup.
    Foreign,
    /// Its files are not those that were closed.
    Damaged,
}
