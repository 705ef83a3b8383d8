//! Options that are off by default, each with the file that it asks for.

use super::*;

/// A host with these files, and its directory.
fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Roots) {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(dir.path(), path, text);
    }
    let roots = Roots::under(dir.path());
    (dir, roots)
}

fn write(dir: &Path, path: &str, text: &str) {
    let path = dir.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

/// The lines of one gather without their time, sorted, and how many troubles there were.
fn gathered(collector: &mut dyn Collector, roots: &Roots) -> (Vec<String>, u64) {
    let mut batch = Batch::new(Tags::from([]));
    let result = collector.gather(roots, Moment::default(), &mut batch);
    let text = String::from_utf8(batch.as_bytes().to_vec()).unwrap();
    let line = |line: &str| line.strip_suffix(" 0").unwrap().to_owned();
    let mut lines: Vec<String> = text.lines().map(line).collect();
    lines.sort();
    (
        lines,
        result.map_or_else(|troubles| troubles.count(), |()| 0),
    )
}

/// Measurement and tags of lines.
fn series(lines: &[String]) -> Vec<&str> {
    let series = |line: &'_ String| line.find(' ').unwrap();
    lines.iter().map(|line| &line[..series(line)]).collect()
}

const STAT: &str =
    "cpu 9 0 0 9\ncpu0 4 0 0 4\ncpu1 5 0 0 5\nintr 1\nctxt 2\nbtime 3\nprocesses 4\n";
const CPUINFO: &str =
    "processor\t: 0\nphysical id\t: 0\ncore id\t\t: 3\n\nprocessor\t: 1\nphysical id\t: 1\n";

#[test]
fn processors_tell_their_core_and_their_package() {
    let (dir, roots) = host(&[("proc/stat", STAT), ("proc/cpuinfo", CPUINFO)]);
    write(
        dir.path(),
        "sys/devices/system/cpu/cpu1/topology/core_id",
        "7\n",
    );
    let mut cpu = cpu::Cpu::new(CpuOptions {
        collect_cpu_time: true,
        core_tags: true,
        ..CpuOptions::default()
    });
    let (lines, troubles) = gathered(&mut cpu, &roots);
    let expected = [
        "cpu,core_id=3,cpu=cpu0,physical_id=0",
        "cpu,core_id=7,cpu=cpu1,physical_id=1",
        "cpu,cpu=cpu-total",
    ];
    assert_eq!((series(&lines), troubles), (expected.to_vec(), 0));
    // Another processor has the table read again.
    let stat = "cpu 9 0 0 9\ncpu0 4 0 0 4\ncpu1 5 0 0 5\ncpu2 1 0 0 1\n";
    write(dir.path(), "proc/stat", stat);
    let more = format!("{CPUINFO}\nprocessor\t: 2\nphysical id\t: 1\ncore id\t: 8\n");
    write(dir.path(), "proc/cpuinfo", &more);
    let (lines, _) = gathered(&mut cpu, &roots);
    assert!(
        series(&lines).contains(&"cpu,core_id=8,cpu=cpu2,physical_id=1"),
        "{lines:?}"
    );
    // Without the table, and with strange text in it, there are no such tags.
    std::fs::remove_file(dir.path().join("proc/cpuinfo")).unwrap();
    write(dir.path(), "proc/stat", STAT);
    let (lines, troubles) = gathered(&mut cpu, &roots);
    assert!(
        !lines.iter().any(|line| line.contains("core_id")),
        "{lines:?}"
    );
    assert_eq!(troubles, 1);
}

const SOME: &str = "some avg10=1.50 avg60=0.25 avg300=0.00 total=12345\n";

#[test]
fn pressure_is_told_for_each_resource() {
    let full = "full avg10=0.00 avg60=0.00 avg300=0.10 total=77\n";
    let (dir, roots) = host(&[
        ("proc/stat", STAT),
        ("proc/sys/kernel/random/entropy_avail", "256\n"),
        ("proc/pressure/cpu", &format!("{SOME}{full}")),
        ("proc/pressure/memory", &format!("{SOME}{full}")),
        ("proc/pressure/io", &format!("{full}{SOME}")),
    ]);
    let options = KernelOptions {
        psi: true,
        ksm: false,
    };
    let (lines, troubles) = gathered(&mut kernel::Kernel::new(options), &roots);
    let expected = [
        "kernel entropy_avail=256i,interrupts=1i,context_switches=2i,boot_time=3i,processes_forked=4i",
        "pressure,resource=cpu,type=some avg10=1.5,avg60=0.25,avg300=0",
        "pressure,resource=cpu,type=some total=12345i",
        "pressure,resource=io,type=full avg10=0,avg60=0,avg300=0.1",
        "pressure,resource=io,type=full total=77i",
        "pressure,resource=io,type=some avg10=1.5,avg60=0.25,avg300=0",
        "pressure,resource=io,type=some total=12345i",
        "pressure,resource=memory,type=full avg10=0,avg60=0,avg300=0.1",
        "pressure,resource=memory,type=full total=77i",
        "pressure,resource=memory,type=some avg10=1.5,avg60=0.25,avg300=0",
        "pressure,resource=memory,type=some total=12345i",
    ];
    assert_eq!((lines, troubles), (expected.map(str::to_owned).to_vec(), 0));
    for text in [
        "half a line",
        "some avg10=x avg60=0 avg300=0 total=1\n",
        "some\n",
    ] {
        write(dir.path(), "proc/pressure/cpu", text);
        let (lines, troubles) = gathered(&mut kernel::Kernel::new(options), &roots);
        assert_eq!((lines.len(), troubles), (9, 1), "{text}");
    }
    // A kernel without it says so once.
    std::fs::remove_dir_all(dir.path().join("proc/pressure")).unwrap();
    let (lines, troubles) = gathered(&mut kernel::Kernel::new(options), &roots);
    assert_eq!((lines.len(), troubles), (1, 1));
}

#[test]
fn shared_pages_are_fields_of_kernel() {
    let (dir, roots) = host(&[
        ("proc/stat", "ctxt 2\n"),
        ("proc/sys/kernel/random/entropy_avail", "256\n"),
        ("sys/kernel/mm/ksm/run", "1\n"),
        ("sys/kernel/mm/ksm/general_profit", "-5\n"),
        ("sys/kernel/mm/ksm/pages_shared", "40\n"),
        ("sys/kernel/mm/ksm/advisor_mode", "[none] scan-time\n"),
    ]);
    let options = KernelOptions {
        psi: false,
        ksm: true,
    };
    let (lines, troubles) = gathered(&mut kernel::Kernel::new(options), &roots);
    let expected = "kernel entropy_avail=256i,context_switches=2i,ksm_general_profit=-5i,ksm_pages_shared=40i,ksm_run=1i";
    assert_eq!((lines, troubles), (vec![expected.to_owned()], 0));
    std::fs::remove_dir_all(dir.path().join("sys")).unwrap();
    let (lines, troubles) = gathered(&mut kernel::Kernel::new(options), &roots);
    assert_eq!((lines.len(), troubles), (1, 1));
}

const DISKSTATS: &str = "8 0 sda 1 0 1 1 1 0 1 1 0 1 1\n8 1 sda1 1 0 1 1 1 0 1 1 0 1 1\n\
    259 0 nvme0n1 1 0 1 1 1 0 1 1 0 1 1\n";

fn disks() -> (tempfile::TempDir, Roots) {
    host(&[
        ("proc/diskstats", DISKSTATS),
        (
            "run/udev/data/b8:0",
            "S:disk/by-id/ata-x\nE:ID_SERIAL=X 1\n",
        ),
        (
            "run/udev/data/b8:1",
            "E:ID_FS_LABEL=data\nE:ID_FS_TYPE=ext4\n",
        ),
        ("sys/dev/block/259:0/device/model", "Fast \n"),
        ("sys/dev/block/259:0/device/serial", " S7\n"),
        ("dev/nvme0n1", ""),
    ])
}

fn diskio(options: DiskIoOptions, roots: &Roots) -> Vec<String> {
    let (lines, troubles) = gathered(&mut diskio::DiskIo::new(options), roots);
    assert_eq!(troubles, 0);
    series(&lines).into_iter().map(str::to_owned).collect()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn devices_are_chosen_by_name_and_by_link() {
    let (dir, roots) = disks();
    std::os::unix::fs::symlink("nvme0n1", dir.path().join("dev/fast")).unwrap();
    for (devices, expected) in [
        (
            &[][..],
            &["diskio,name=nvme0n1", "diskio,name=sda", "diskio,name=sda1"][..],
        ),
        (&["sd*"], &["diskio,name=sda", "diskio,name=sda1"]),
        (&["sda"], &["diskio,name=sda"]),
        (&["/dev/sda1"], &["diskio,name=sda1"]),
        (&["disk/by-id/*"], &["diskio,name=sda"]),
        (
            &["/dev/disk/by-id/ata-x", "fast"],
            &["diskio,name=nvme0n1", "diskio,name=sda"],
        ),
        (&["nothing"], &[]),
    ] {
        let options = DiskIoOptions {
            devices: texts(devices),
            ..DiskIoOptions::default()
        };
        assert_eq!(diskio(options, &roots), expected, "{devices:?}");
    }
}

#[test]
fn devices_have_names_and_tags_of_udev() {
    let (dir, roots) = disks();
    let options = DiskIoOptions {
        device_tags: texts(&["ID_FS_TYPE", "ID_NO"]),
        name_templates: texts(&["$ID_NO", "fs-${ID_FS_LABEL}"]),
        skip_serial_number: false,
        ..DiskIoOptions::default()
    };
    let expected = [
        "diskio,ID_FS_TYPE=ext4,name=fs-data,serial=unknown",
        "diskio,name=nvme0n1,serial=Fast_S7",
        "diskio,name=sda,serial=X\\ 1",
    ];
    let mut collector = diskio::DiskIo::new(options);
    let mut shown = || {
        let (lines, troubles) = gathered(&mut collector, &roots);
        assert_eq!(troubles, 0);
        // A name may hold a blank, behind a backslash.
        let end = |line: &String| line.find(" reads=").unwrap();
        let series: Vec<String> = lines
            .iter()
            .map(|line| line[..end(line)].to_owned())
            .collect();
        series
    };
    assert_eq!(shown(), expected);
    assert_eq!(shown(), expected, "from what is remembered");
    // udev changes what it knows: another label.
    let path = dir.path().join("run/udev/data/b8:1");
    std::fs::write(&path, "E:ID_FS_LABEL=new\n").unwrap();
    let later = std::time::SystemTime::now() + Duration::from_secs(5);
    std::fs::File::options()
        .write(true)
        .open(&path)
        .and_then(|file| file.set_modified(later))
        .unwrap();
    assert_eq!(shown()[0], "diskio,name=fs-new,serial=unknown");
}

#[test]
fn sensors_as_telegraf_had_them_before_1_22_4_and_with_their_devices() {
    let (dir, roots) = host(&[
        ("sys/class/hwmon/hwmon0/name", "coretemp\n"),
        ("sys/class/hwmon/hwmon0/temp1_input", "43500\n"),
        ("sys/class/hwmon/hwmon0/temp1_label", "Core 0\n"),
        ("sys/class/hwmon/hwmon0/temp1_crit", "100000\n"),
        ("sys/class/hwmon/hwmon0/temp10_max", "1\n"),
        ("sys/class/hwmon/hwmon1/temp1_input", "20000\n"),
        ("sys/class/thermal/thermal_zone0/type", "acpitz\n"),
        ("sys/class/thermal/thermal_zone0/temp", "30000\n"),
    ]);
    std::os::unix::fs::symlink(
        "../../x/nvme0",
        dir.path().join("sys/class/hwmon/hwmon1/device"),
    )
    .unwrap();
    let lines = |options: TempOptions| gathered(&mut temp::Temp::new(options), &roots).0;
    let old = TempOptions {
        format: TempFormat::V1,
        add_device_tag: false,
        always_gather_zones: true,
    };
    let expected = [
        "temp,sensor=acpitz_input temp=30",
        "temp,sensor=coretemp_core0_crit temp=100",
        "temp,sensor=coretemp_core0_input temp=43.5",
        "temp,sensor=nvme0_input temp=20",
    ];
    assert_eq!(lines(old), expected);
    let tagged = TempOptions {
        add_device_tag: true,
        ..TempOptions::default()
    };
    let expected = [
        "temp,device=nvme0,sensor=nvme0 temp=20",
        "temp,sensor=coretemp_core_0 temp=43.5",
    ];
    assert_eq!(lines(tagged), expected);
}

#[test]
fn interrupts_by_processor_have_a_line_each() {
    let (_dir, roots) = host(&[
        (
            "proc/interrupts",
            "     CPU0 CPU1\n  0: 9 0 IO-APIC 2-edge timer\n",
        ),
        ("proc/softirqs", "     CPU0 CPU1\nHI: 1 2\n"),
    ]);
    let mut options = InterruptsOptions {
        per_cpu: false,
        cpu_as_tag: true,
    };
    let (lines, _) = gathered(&mut interrupts::Interrupts::new(options), &roots);
    let expected = [
        "interrupts,cpu=cpu0,device=2-edge\\ timer,irq=0,type=IO-APIC count=9i",
        "soft_interrupts,cpu=cpu0,irq=HI count=1i",
        "soft_interrupts,cpu=cpu1,irq=HI count=2i",
    ];
    assert_eq!(lines, expected);
    options.per_cpu = true;
    let (lines, _) = gathered(&mut interrupts::Interrupts::new(options), &roots);
    assert_eq!(lines.len(), 4, "also those that never came");
}

#[test]
fn the_agents_memory_has_telegrafs_names_where_it_is_asked_for() {
    let of = |collect_memstats| {
        let options = InternalOptions { collect_memstats };
        let mut internal = internal::Internal::new(options, Arc::default(), 0);
        gathered(&mut internal, &Roots::default()).0
    };
    let has = |lines: &[String]| {
        let mut found = lines
            .iter()
            .filter(|line| line.starts_with("internal_memstats "));
        found.next().cloned()
    };
    assert_eq!(has(&of(false)), None);
    let line = has(&of(true)).unwrap();
    for field in [
        "alloc_bytes=",
        "heap_alloc_bytes=",
        "heap_sys_bytes=",
        "sys_bytes=",
    ] {
        assert!(line.contains(field), "{line}");
    }
}
