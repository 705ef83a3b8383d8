//! Random lives of a store on a simulated file system, held against a model.
//!
//! A *life* is a list of steps: operations on a store, each with a power cut or a failing call
//! somewhere inside it, or neither. It is made from a seed, run against the store and a plain map
//! at once, and what the store shows is compared after each power cut and now and then between.
//! Lives go on over their crashes, so that what one leaves behind meets the next.
//!
//! A failing life can be run again from its seed, and is cut down to the steps that matter.

mod generate;
mod history;
mod life;
mod model;
mod observe;
mod op;
mod point;
mod shrink;

pub use generate::{Mix, life};
pub use history::{Answer, History};
pub use life::{Failure, Tally, run};
pub use model::{Database, Effect, Model, Policy, Rows};
pub use observe::{Listed, observe, observe_range};
pub use op::{Cut, Fault, Op, Step, Target, Write};
pub use point::{Point, Row, Value};
pub use shrink::shrink;
pub use tandem_testkit::Lie;
