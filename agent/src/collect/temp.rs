//! `temp`: temperatures in degrees Celsius.
//!
//! Sources: `/sys/class/hwmon/hwmon*/temp*_input`, and the thermal zones where there is none of
//! those, or where they are asked for (`influxdata/telegraf plugins/inputs/temp/temp_linux.go`). A
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

/// How sensors are called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TempFormat {
    /// As Telegraf had it before 1.22.4: `coretemp_core0_input`, and a line for each further value of a sensor,
    /// `coretemp_core0_crit` for one.
    V1,
    /// `coretemp_core_0`.
    #[default]
    V2,
}

/// What `temp` emits; the default is Telegraf's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TempOptions {
    /// Names.
    pub format: TempFormat,
    /// The tag `device`, which tells two chips of one name apart.
    pub add_device_tag: bool,
    /// Thermal zones also where there are other sensors.
    pub always_gather_zones: bool,
}

/// The collector of `temp`.
#[derive(Debug)]
pub(crate) struct Temp {
    options: TempOptions,
    source: Source,
}

/// What the lines of one sensor share.
#[derive(Debug)]
struct Sensor {
    name: String,
    /// Empty: no tag.
    device: String,
}

impl Sensor {
    fn line(&self, kind: &str, degrees: f64, out: &mut Batch) {
        out.line("temp")
            .tag("sensor", format!("{}{kind}", self.name))
            .tag("device", &self.device)
            .float("temp", degrees)
            .finish();
    }
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
    pub(crate) fn new(options: TempOptions) -> Self {
        Self {
            options,
            source: Source::default(),
        }
    }

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
        let mut device = String::new();
        if let Ok(target) = std::fs::read_link(directory.join("device"))
            && let Some(name) = target.file_name()
        {
            device = name.to_string_lossy().into_owned();
        }
        let named = self.text(&directory.join("name"));
        let Some(chip) = named.or_else(|| (!device.is_empty()).then(|| device.clone())) else {
            return 0;
        };
        if !self.options.add_device_tag {
            device.clear();
        }
        let mut found = 0;
        let files = entries(directory, "temp");
        for path in &files {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let Some(number) = name.strip_suffix("_input") else {
                continue;
            };
            let Some(degrees) = self.degrees(path) else {
                continue;
            };
            let label = self.text(&directory.join(format!("{number}_label")));
            let label = label.map(|label| label.to_lowercase());
            let between = match self.options.format {
                TempFormat::V1 => "",
                TempFormat::V2 => "_",
            };
            let name = match label.filter(|label| !label.is_empty()) {
                Some(label) => format!("{chip}_{}", label.replace(' ', between)),
                None => chip.clone(),
            };
            let device = device.clone();
            let sensor = Sensor { name, device };
            found += 1;
            match self.options.format {
                TempFormat::V2 => sensor.line("", degrees, out),
                TempFormat::V1 => {
                    sensor.line("_input", degrees, out);
                    self.further(&sensor, number, &files, out);
                }
            }
        }
        found
    }

    /// The other values of a sensor, `temp1_crit` for one.
    fn further(&mut self, sensor: &Sensor, number: &str, files: &[PathBuf], out: &mut Batch) {
        for path in files {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let kind = name.strip_prefix(number);
            let Some(kind) = kind.filter(|kind| kind.starts_with('_')) else {
                continue;
            };
            if matches!(kind, "_input" | "_label") {
                continue;
            }
            if let Some(degrees) = self.degrees(path) {
                sensor.line(kind, degrees, out);
            }
        }
    }

    /// The thermal zones.
    fn zones(&mut self, roots: &Roots, out: &mut Batch) {
        let kind = match self.options.format {
            TempFormat::V1 => "_input",
            TempFormat::V2 => "",
        };
        for zone in entries(&roots.sys("class/thermal"), "thermal_zone") {
            if let Some(name) = self.text(&zone.join("type"))
                && let Some(degrees) = self.degrees(&zone.join("temp"))
            {
                let device = String::new();
                Sensor { name, device }.line(kind, degrees, out);
            }
        }
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
        if found == 0 || self.options.always_gather_zones {
            self.zones(roots, out);
        }
        Ok(())
    }
}
