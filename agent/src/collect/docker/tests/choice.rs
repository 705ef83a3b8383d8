//! Which lines of which containers there are.

use super::*;

#[test]
fn sums_are_left_out_one_by_one() {
    let sums = [
        "docker_container_cpu,",
        "docker_container_net,",
        "docker_container_blkio,",
    ];
    let of = |options: DockerOptions| {
        let mut docker = Docker::with_registry(options, registry());
        let lines = gather(&mut docker, "docker-v2/first", 0);
        has(&lines, "docker_container_mem,");
        sums.map(|sum| lines.contains(sum))
    };
    assert_eq!(of(alone()), [true; 3]);
    for at in 0..sums.len() {
        let mut options = alone();
        options.total_cpu = at != 0;
        options.total_network = at != 1;
        options.total_blkio = at != 2;
        let mut expected = [true; 3];
        expected[at] = false;
        assert_eq!(of(options), expected, "without {}", sums[at]);
    }
}

#[test]
fn states_are_patterns_and_some_can_be_left_out() {
    let names = |states: Filter| {
        let options = DockerOptions { states, ..alone() };
        let mut docker = Docker::with_registry(options, registry());
        let lines = gather(&mut docker, "docker-v2/first", 0);
        ["web", "stopped"].map(|name| lines.contains(&format!("container_name={name},")))
    };
    assert_eq!(names(only(&["r*"])), [true, false]);
    let all_but = |states: &[&str]| Filter {
        include: Vec::new(),
        exclude: states.iter().map(|state| (*state).to_owned()).collect(),
    };
    assert_eq!(names(all_but(&["running"])), [false, true]);
    assert_eq!(names(all_but(&[])), [true, true]);
}
