//! Choices as data: a shard's files on one line, and what is to be done with them.
//!
//! A file is `level:bytes`, with `K`, `M` or `G`; `!` behind it when it is barred, `-7` when seven
//! per cent are hidden. `3*` before it stands for three such files.

use proptest::prelude::*;

use super::*;

fn file(text: &str) -> Candidate {
    let (text, barred) = match text.strip_suffix('!') {
        Some(text) => (text, true),
        None => (text, false),
    };
    let (text, hidden) = text.split_once('-').unwrap_or((text, "0"));
    let (level, size) = text.split_once(':').unwrap();
    let (number, unit) = size.split_at(size.len() - 1);
    let unit = match unit {
        "K" => 10,
        "M" => 20,
        "G" => 30,
        _ => panic!("{text}"),
    };
    Candidate {
        level: level.parse().unwrap(),
        len_bytes: number.parse::<u64>().unwrap() << unit,
        hidden_percent: hidden.parse().unwrap(),
        barred,
    }
}

fn files(text: &str) -> Vec<Candidate> {
    text.split_whitespace()
        .flat_map(|text| match text.split_once('*') {
            Some((count, text)) => vec![file(text); count.parse().unwrap()],
            None => vec![file(text)],
        })
        .collect()
}

/// The choice as `first..end>level`, or `-`.
fn show(choice: &Choice) -> String {
    match choice {
        Choice::Nothing => "-".into(),
        Choice::Merge {
            files,
            level,
            effort,
        } => {
            assert_eq!(*effort == Effort::Cold, *level >= LEVEL_SETTLED);
            format!("{}..{}>{level}", files.start, files.end)
        }
    }
}

#[test]
fn hot_shards_merge_ten_files_of_a_level() {
    for (given, expected) in [
        ("", "-"),
        ("9*0:4M", "-"),
        ("10*0:4M", "0..10>1"),
        // All that wait at once, up to a bound.
        ("25*0:4M", "0..25>1"),
        ("99*0:4M", "0..64>1"),
        ("9*1:40M 9*0:4M", "-"),
        ("9*1:40M 10*0:4M", "9..19>1"),
        ("10*1:40M 9*0:4M", "0..10>2"),
        // Settled ones only when they are many and small.
        ("15*2:4M", "-"),
        ("16*2:4M 3*0:1M", "0..16>3"),
        ("20*2:400M", "-"),
        // Size alone says nothing; files that do not fit stay.
        ("0:400M 9*0:1K", "0..10>1"),
        ("0:2G 9*0:1K", "-"),
        ("0:2G 10*0:1K", "1..11>1"),
        ("0:3G 10*0:1K", "1..11>1"),
        // Hidden rows.
        ("2:1G-24 0:1M", "-"),
        ("2:1G-25 0:1M", "0..1>2"),
        ("0:1K-100", "0..1>0"),
    ] {
        assert_eq!(show(&choose(&files(given), false)), expected, "{given}");
    }
}

#[test]
fn cold_shards_merge_what_is_left() {
    for (given, expected) in [
        ("0:4M", "0..1>2"),
        ("0:1K", "-"),
        ("2*0:1K", "0..2>2"),
        ("9*1:40M 9*0:4M", "0..18>2"),
        ("99*0:1K", "0..64>2"),
        // A settled file is written again only with as much that is new.
        ("2:40M 9*0:4M", "1..10>2"),
        ("2:40M 10*0:4M", "0..11>2"),
        ("2:1G 2:30M 2:3M 0:4M", "2..4>2"),
        ("3*2:40M", "-"),
        ("16*2:40M", "0..16>3"),
        // Hidden rows go, however few.
        ("2:40M-1", "0..1>2"),
        ("2:1K-1 2:40M", "0..1>2"),
        ("3:40M-1 0:40M", "0..2>3"),
        // Two gibibytes are enough.
        ("2*1:1G 1:1K", "0..2>2"),
        ("1:2G 1:1M", "1..2>2"),
        ("1:3G", "-"),
        ("1:3G-1", "0..1>2"),
    ] {
        assert_eq!(show(&choose(&files(given), true)), expected, "{given}");
    }
}

#[test]
fn no_merge_reaches_over_a_barred_file() {
    for (given, is_cold, expected) in [
        ("5*0:4M 0:4M! 9*0:4M", false, "-"),
        ("5*0:4M 0:4M! 10*0:4M", false, "6..16>1"),
        ("5*0:4M 0:4M! 10*0:4M", true, "0..5>2"),
        ("2:20M 0:4M! 2*0:4M 0:1M!", true, "2..4>2"),
        ("0:4M! 0:4M! 0:4M!", true, "-"),
        ("0:4M-50!", false, "-"),
    ] {
        assert_eq!(show(&choose(&files(given), is_cold)), expected, "{given}");
    }
}

#[test]
fn where_space_is_scarce_the_smallest_file_of_which_much_is_hidden_is_written_alone() {
    for (given, expected) in [
        ("20*0:4M", "-"),
        ("0:4M-24 0:4M-50!", "-"),
        ("10*0:4M 0:4M-25 0:1M", "10..11>0"),
        ("0:4M-90 2:2M-30 1:3M-90", "1..2>2"),
    ] {
        assert_eq!(show(&choose_smallest(&files(given))), expected, "{given}");
    }
}

#[test]
fn a_shard_is_cold_after_long_quiet_or_when_its_time_is_over() {
    let range = TimeRange::new(0, 1_000);
    let hour = Duration::from_secs(3600);
    for (now_ns, quiet_s, expected) in [
        (500, 0, false),
        (500, 3599, false),
        (500, 3600, true),
        (1_000, 900, false),
        (1_001, 899, false),
        (1_001, 900, true),
    ] {
        let found = is_cold(range, now_ns, Duration::from_secs(quiet_s), hour);
        assert_eq!(found, expected, "{now_ns} {quiet_s}");
    }
}

/// Does what was chosen, as if merging took no bytes away.
fn apply(files: &mut Vec<Candidate>, choice: Choice) {
    let Choice::Merge {
        files: at, level, ..
    } = choice
    else {
        return;
    };
    let merged = Candidate {
        level,
        len_bytes: sum(&files[at.clone()]),
        hidden_percent: 0,
        barred: false,
    };
    files.splice(at, [merged]);
}

/// Steady flushes, as a day or a month of them: what is written for each byte that is flushed, and
/// the most files at any time.
fn steady(flushes: u64, bytes: u64) -> (f64, usize, Vec<Candidate>) {
    let (mut written, mut files_max, mut files) = (0, 0, Vec::new());
    let settle = |files: &mut Vec<Candidate>, is_cold, written: &mut u64| loop {
        let choice = choose(files, is_cold);
        match &choice {
            Choice::Nothing => return,
            Choice::Merge { files: at, .. } => *written += sum(&files[at.clone()]),
        }
        apply(files, choice);
    };
    for _ in 0..flushes {
        files.push(Candidate {
            level: 0,
            len_bytes: bytes,
            hidden_percent: 0,
            barred: false,
        });
        written += bytes;
        files_max = files_max.max(files.len());
        settle(&mut files, false, &mut written);
    }
    settle(&mut files, true, &mut written);
    (written as f64 / (flushes * bytes) as f64, files_max, files)
}

#[test]
fn a_value_is_written_three_times_at_most() {
    // A flush every ten minutes for a week; one every two seconds for a day.
    for (flushes, bytes) in [
        (10, 1 << 20),
        (144, 30 << 10),
        (1008, 90 << 10),
        (43_200, 5 << 20),
    ] {
        let (amplification, files_max, settled) = steady(flushes, bytes);
        println!(
            "{flushes} of {bytes}: {amplification:.2}, {files_max} files, then {}",
            settled.len()
        );
        assert!(amplification <= 3.01, "{flushes}: {amplification}");
        let large = flushes / 100;
        assert!(
            files_max as u64 <= 36 + large,
            "{flushes}: {files_max} files"
        );
    }
}

proptest! {
    #[test]
    fn choices_end_and_never_touch_what_is_barred(
        given in prop::collection::vec((0_u8..5, 0_u32..33, 0_u8..101, 0_u8..12), 0..80),
        is_cold: bool,
    ) {
        let mut files: Vec<Candidate> = given
            .into_iter()
            .map(|(level, size, hidden, barred)| Candidate {
                level,
                len_bytes: 1 << size,
                hidden_percent: if hidden < 80 { 0 } else { hidden },
                barred: barred == 0,
            })
            .collect();
        let mut rounds = 0;
        loop {
            let choice = choose(&files, is_cold);
            let Choice::Merge { files: at, level, .. } = choice.clone() else { break };
            prop_assert!(!at.is_empty() && at.len() <= FILES_MERGED_MAX);
            prop_assert!(files[at.clone()].iter().all(|f| !f.barred && f.level <= level));
            prop_assert!(at.len() == 1 || sum(&files[at]) <= FILE_BYTES_MAX);
            apply(&mut files, choice);
            rounds += 1;
            prop_assert!(rounds < 500);
        }
    }
}

#[test]
fn no_merge_reaches_over_a_gap() {
    let all = files("3*0:1M 3*0:1M");
    let merge = |files| Choice::Merge {
        files,
        level: LEVEL_SETTLED,
        effort: Effort::Cold,
    };
    assert_eq!(choose_between(&all, [].into_iter(), true), merge(0..6));
    assert_eq!(choose_between(&all, [3].into_iter(), true), merge(0..3));
    let settled = files("1*2:1M 3*0:1M");
    for gaps in [vec![1], vec![0, 1, 1, 4]] {
        assert_eq!(
            choose_between(&settled, gaps.into_iter(), true),
            merge(1..4)
        );
    }
    let gaps = 0..=12;
    assert_eq!(
        choose_between(&files("12*0:1M"), gaps, false),
        Choice::Nothing
    );
    assert_eq!(
        choose_between(&[], [0, 0].into_iter(), true),
        Choice::Nothing
    );
}
