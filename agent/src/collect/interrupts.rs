//! `interrupts` and `soft_interrupts`: how often each interrupt came.
//!
//! Sources: `/proc/interrupts` and `/proc/softirqs` (`influxdata/telegraf
//! plugins/inputs/interrupts`). A host with many processors has hundreds of rows of as many
//! columns. So by default only the sums are reported, and only of interrupts that came at all;
//! `per_cpu` reports everything, as the original does. With `cpu_as_tag` each processor has a line
//! of its own, with the field `count`, and there are no sums.

use std::path::Path;

use super::source::{Source, SourceError, Troubles};
use super::{Collector, Moment};
use crate::batch::Batch;
use crate::roots::Roots;
use crate::text;

/// What `interrupts` emits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InterruptsOptions {
    /// Also a field for each processor, and interrupts that never came. Telegraf does so.
    pub per_cpu: bool,
    /// A line for each processor in the place of a field.
    pub cpu_as_tag: bool,
}

/// The collector of `interrupts` and `soft_interrupts`.
#[derive(Debug)]
pub(crate) struct Interrupts {
    options: InterruptsOptions,
    source: Source,
    counts: Vec<u64>,
}

/// Appends `words` to `text`, with a blank between them.
fn join<'a>(text: &mut Vec<u8>, words: impl Iterator<Item = &'a [u8]>) {
    text.clear();
    for word in words {
        if !text.is_empty() {
            text.push(b' ');
        }
        text.extend_from_slice(word);
    }
}

impl Interrupts {
    pub(crate) fn new(options: InterruptsOptions) -> Self {
        Self {
            options,
            source: Source::default(),
            counts: Vec::new(),
        }
    }

    fn table(
        &mut self,
        measurement: &'static str,
        path: &Path,
        out: &mut Batch,
        troubles: &mut Troubles,
    ) {
        let Some(table) = troubles.note(self.source.read(path)) else {
            return;
        };
        let mut rows = text::lines(table);
        let cpus = rows
            .next()
            .map_or(0, |heading| text::words(heading).count());
        let (mut kind, mut device) = (Vec::new(), Vec::new());
        for row in rows {
            let mut words = text::words(row);
            let Some(irq) = words.next().and_then(|word| word.strip_suffix(b":")) else {
                troubles.add(SourceError::strange(path, row));
                continue;
            };
            self.counts.clear();
            // Rows such as `ERR` have one number for all processors.
            let mut rest = words.clone();
            while self.counts.len() < cpus {
                match words.next().and_then(text::unsigned) {
                    Some(count) => self.counts.push(count),
                    None => break,
                }
                rest = words.clone();
            }
            let total = self
                .counts
                .iter()
                .fold(0_u64, |sum, c| sum.wrapping_add(*c));
            if total == 0 && !self.options.per_cpu {
                continue;
            }
            // A numbered interrupt has a controller and then its devices; others have a text.
            let is_numbered = text::unsigned(irq).is_some() && rest.clone().nth(1).is_some();
            if is_numbered {
                join(&mut kind, rest.next().into_iter());
                join(&mut device, rest);
            } else {
                join(&mut kind, rest);
                device.clear();
            }
            if self.options.cpu_as_tag {
                for (cpu, count) in self.counts.iter().enumerate() {
                    if *count > 0 || self.options.per_cpu {
                        out.line(measurement)
                            .tag("cpu", format!("cpu{cpu}"))
                            .tag("irq", irq)
                            .tag("type", &kind)
                            .tag("device", &device)
                            .unsigned("count", *count)
                            .finish();
                    }
                }
                continue;
            }
            let mut line = out
                .line(measurement)
                .tag("irq", irq)
                .tag("type", &kind)
                .tag("device", &device);
            if self.options.per_cpu {
                for (cpu, count) in self.counts.iter().enumerate() {
                    line = line.unsigned(&format!("CPU{cpu}"), *count);
                }
            }
            line.unsigned("total", total).finish();
        }
    }
}

impl Collector for Interrupts {
    fn name(&self) -> &'static str {
        "interrupts"
    }

    fn gather(&mut self, roots: &Roots, _at: Moment, out: &mut Batch) -> Result<(), Troubles> {
        let mut troubles = Troubles::default();
        for (measurement, file) in [
            ("interrupts", "interrupts"),
            ("soft_interrupts", "softirqs"),
        ] {
            self.table(measurement, &roots.proc(file), out, &mut troubles);
        }
        troubles.into_result()
    }
}
