//! Lives of a store with power cuts, a short run of them: what was acknowledged is there, what was
//! not is there whole or not at all, and nothing else.

use tandem_crash::{Cut, Failure, Tally};
use tandem_crash::{Lie, Mix, Op, Step, life, run, shrink};

const ALL: Mix = Mix {
    deletes: true,
    faults: true,
    threads: false,
};
const CUTS_OF_A_LIFE: usize = 12;
/// About as many as the small life makes whose syncs are left out one by one.
const SYNCS: u64 = 70;

/// Runs lives of seeds from `first` on until `cuts` power cuts are done.
#[track_caller]
fn live(first: u64, cuts: usize, mix: Mix) -> Tally {
    let mut tally = Tally::default();
    for seed in (first..).take(cuts.div_ceil(CUTS_OF_A_LIFE)) {
        match run(&life(seed, CUTS_OF_A_LIFE, mix), None) {
            Ok(lived) => tally += lived,
            Err(Failure { step, what }) => panic!(
                "step {step}: {what}\nagain: cargo xtask crash --seed {seed} --cycles {CUTS_OF_A_LIFE}"
            ),
        }
    }
    tally
}

#[test]
fn two_hundred_power_cuts() {
    let tally = live(1, 200, ALL);
    assert!(tally.cuts >= 200 && tally.cuts_inside > 40, "{tally:?}");
    assert!(tally.unknown > 20 && tally.faults > 10, "{tally:?}");
    assert!(tally.points > 1_000 && tally.rows > 10_000, "{tally:?}");
}

#[test]
fn power_cuts_while_several_write() {
    let threads = Mix {
        threads: true,
        ..ALL
    };
    live(1_000_000, 60, threads);
}

#[test]
fn a_life_repeats_to_the_letter() {
    let steps = life(5, CUTS_OF_A_LIFE, ALL);
    assert_eq!(run(&steps, None), run(&steps, None));
}

/// A store that forgot to sync is one on a machine that lies about it. If that is not seen, the
/// other tests here prove nothing.
#[test]
fn a_store_that_does_not_sync_is_caught_and_cut_down_to_a_few_steps() {
    for lie in [Lie::Data, Lie::Directories] {
        let failing = (1..20).find_map(|seed| {
            let steps = life(seed, CUTS_OF_A_LIFE, ALL);
            run(&steps, Some(lie)).err().map(|failure| (steps, failure))
        });
        let (steps, _) = failing.unwrap_or_else(|| panic!("{lie:?} is not seen"));
        let limit = std::time::Duration::from_secs(5);
        let (few, _) = shrink(&steps, Some(lie), limit).expect("it fails again");
        assert!(
            few.len() < 12 && few.len() < steps.len(),
            "{} steps",
            few.len()
        );
    }
}

/// Of the syncs that a small life makes, each one alone is left out; most of them must be missed.
/// (Not all: what the next sync brings to the disk before the power goes is not missed.)
#[test]
fn a_single_sync_left_out_is_caught() {
    let write = |seed: u64| {
        let steps = life(
            seed,
            1,
            Mix {
                deletes: false,
                faults: false,
                threads: false,
            },
        );
        let writes = steps
            .into_iter()
            .filter(|step| matches!(step.op, Op::Write(_)));
        writes.map(|step| step.op).take(2)
    };
    let mut operations: Vec<Op> = Vec::new();
    for seed in [3, 4, 5] {
        operations.extend(write(seed));
        operations.push(Op::Flush);
    }
    operations.extend(write(6));
    operations.push(Op::Compact);
    operations.extend(write(7));
    let targets = life(3, 1, ALL);
    let create = targets.first().cloned().expect("it begins with a database");
    // The power goes after each number of operations, so that a sync is missed before another
    // makes up for it.
    let (mut caught, mut made) = (0, 0);
    for number in 0..SYNCS {
        let lie = Some(Lie::One(number));
        let missed = (1..=operations.len()).any(|count| {
            (0..3).any(|seed| {
                let mut steps = vec![create.clone()];
                steps.extend(operations[..count].iter().cloned().map(Step::from));
                let last = steps.last_mut().expect("a step");
                last.cut = Some(Cut {
                    calls: u64::MAX >> 1,
                    seed,
                    again: None,
                });
                run(&steps, lie).is_err()
            })
        });
        made += 1;
        caught += u32::from(missed);
    }
    println!("{caught} of {made} syncs are missed when they are left out");
    assert!(caught > 0);
}
