//! `temp`: temperatures in degrees Celsius.
//!
//! Sources: `/sys/class/hwmon/hwmon*/temp*_input`, and the thermal zones where there is none of
//! those (`influxdata/telegraf plugins/inputs/temp/temp_linux.go`, `metric_format = "v2"`). A
//! sensor that has nothing to say yet is passed over. A host without sensors, such as a virtual
//! machine, reports nothing.

use std::path::{Path, PathBuf};

use super::source::{Source, Troubles};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::roots::Roots;
use crate::text;

/// The kernel writes thousandths of a degree.
const UNITS_PER_DEGREE: f64 = 1000.0;
/// Sensors of one host.
const SENSORS_MAX: usize = 1024;

/// The collector of `temp`.
#[derive(Debug, Default)]
pub(crate) struct Temp {
    source: Source,
}

/// The entries of `directory` whose names begin so, sorted.
fn entries(directory: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            name.as_encoded_bytes().starts_with(prefix.as_bytes())
        })
        .map(|entry| entry.path())
        .take(SENSORS_MAX)
        .collect();
    paths.sort();
    paths
}

impl Temp {
    fn text(&mut self, path: &Path) -> Option<String> {
        let text = self.source.read_at_once(path)?;
        Some(String::from_utf8_lossy(text.trim_ascii()).into_owned())
    }

    fn degrees(&mut self, path: &Path) -> Option<f64> {
        let text = self.source.read_at_once(path)?;
        Some(text::float(text.trim_ascii())? / UNITS_PER_DEGREE)
    }

    /// The sensors of one chip; how many there were.
    fn chip(&mut self, directory: &Path, out: &mut Batch) -> usize {
        let Some(chip) = self.text(&directory.join("name")) else {
            return 0;
        };
        let mut found = 0;
        for path in entries(directory, "temp") {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some(number) = name.strip_suffix("_input").map(str::to_owned) else {
                continue;
            };
            let Some(degrees) = self.degrees(&path) else {
                continue;
            };
            let label = self.text(&directory.join(format!("{number}_label")));
            let sensor = match label.filter(|label| !label.is_empty()) {
                Some(label) => format!("{chip}_{}", label.to_lowercase().replace(' ', "_")),
                None => chip.clone(),
            };
            out.line("temp")
                .tag("sensor", sensor)
                .float("temp", degrees)
                .finish();
            found += 1;
        }
        found
    }
}

impl Collector for Temp {
    fn name(&self) -> &'static str {
        "temp"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let chips = entries(&roots.sys("class/hwmon"), "hwmon");
        let mut found: usize = chips.iter().map(|chip| self.chip(chip, out)).sum();
        if found == 0 {
            // Older drivers keep their files one level down.
            found = chips
                .iter()
                .map(|chip| self.chip(&chip.join("device"), out))
                .sum();
        }
        if found == 0 {
            for zone in entries(&roots.sys("class/thermal"), "thermal_zone") {
                if let Some(sensor) = self.text(&zone.join("type"))
                    && let Some(degrees) = self.degrees(&zone.join("temp"))
                {
                    out.line("temp")
                        .tag("sensor", sensor)
                        .float("temp", degrees)
                        .finish();
                }
            }
        }
        Ok(())
    }
}
