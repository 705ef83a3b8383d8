//! `cargo xtask crash`: lives of many seeds, until so many power cuts are done or one goes wrong.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use tandem_crash::{Failure, Mix, Tally, life, run, shrink};

/// Power cuts in one life: what a crash leaves meets the next ones.
const CUTS_OF_A_LIFE: u64 = 12;
const SHRINK_MAX: Duration = Duration::from_secs(60);
const TELL_INTERVAL: Duration = Duration::from_secs(30);

/// Random lives of a store on a simulated file system, with power cuts, held against a model.
#[derive(Parser)]
struct Arguments {
    /// Power cuts in all.
    #[arg(long, default_value_t = 200)]
    cycles: u64,
    /// Of the first life; the next ones follow. By default one that was not used before.
    #[arg(long)]
    seed: Option<u64>,
    /// Lives at one time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Without deletes and retention.
    #[arg(long)]
    no_deletes: bool,
    /// Without failing calls and full disks.
    #[arg(long)]
    no_faults: bool,
    /// Without writes at the same time: every life repeats to the letter.
    #[arg(long)]
    no_threads: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mix = Mix {
        deletes: !arguments.no_deletes,
        faults: !arguments.no_faults,
        threads: !arguments.no_threads,
    };
    let seed = arguments.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(1, |now| now.as_secs())
    });
    println!("crash: {} cycles from seed {seed}", arguments.cycles);
    // Panics of the store are told with the life that brought them.
    std::panic::set_hook(Box::new(|panic| eprintln!("{panic}")));
    let begun = Instant::now();
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let shared = Mutex::new((Tally::default(), Instant::now(), None));
    let lives = arguments.cycles.div_ceil(CUTS_OF_A_LIFE);
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.max(1) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= lives {
                        return;
                    }
                    let cuts = CUTS_OF_A_LIFE.min(arguments.cycles - at * CUTS_OF_A_LIFE);
                    let own_seed = seed.wrapping_add(at);
                    let outcome = run(&life(own_seed, cuts as usize, mix), None);
                    let mut shared = shared.lock().expect("no panic under the lock");
                    match outcome {
                        Ok(tally) => shared.0 += tally,
                        Err(failure) => {
                            stop.store(true, Ordering::Relaxed);
                            shared.2.get_or_insert((own_seed, cuts, failure));
                        }
                    }
                    if shared.1.elapsed() >= TELL_INTERVAL {
                        shared.1 = Instant::now();
                        tell(&shared.0, begun);
                    }
                }
            });
        }
    });
    let (tally, _, failed) = shared.into_inner().expect("no panic under the lock");
    tell(&tally, begun);
    match failed {
        None => ExitCode::SUCCESS,
        Some((seed, cuts, failure)) => {
            tell_failure(seed, cuts, mix, &failure);
            ExitCode::FAILURE
        }
    }
}

fn tell(tally: &Tally, begun: Instant) {
    println!(
        "crash: {} power cuts ({} inside an operation), {} operations, {} points acknowledged, {} failing calls, {} operations of unknown outcome, {} rows compared in {} looks; {:.1} cycles/s",
        tally.cuts,
        tally.cuts_inside,
        tally.operations,
        tally.points,
        tally.faults,
        tally.unknown,
        tally.rows,
        tally.looks,
        tally.cuts as f64 / begun.elapsed().as_secs_f64(),
    );
}

fn tell_failure(seed: u64, cuts: u64, mix: Mix, failure: &Failure) {
    let Failure { step, what } = failure;
    println!("\ncrash: FAILED, seed {seed}, step {step}: {what}\n");
    println!("again: cargo xtask crash --seed {seed} --cycles {cuts}\n");
    let steps = life(seed, cuts as usize, mix);
    match shrink(&steps, None, SHRINK_MAX) {
        Some((steps, failure)) => {
            println!("cut down to:");
            for (at, step) in steps.iter().enumerate() {
                println!("{at:4}  {step}");
            }
            println!("{}", failure.what);
        }
        None => {
            println!("it did not fail again (threads?); its steps:");
            for (at, step) in steps.iter().enumerate().take(step + 1) {
                println!("{at:4}  {step}");
            }
        }
    }
}
