//! `disk` on the recorded host, with file systems that answer, fail or have no size.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use expect_test::{Expect, expect};

use super::*;

fn tree(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/trees")
        .join(name)
}

fn answer(path: &Path) -> io::Result<Usage> {
    const GIB: u64 = 1 << 30;
    Ok(match path.to_str().unwrap() {
        "/proc" => Usage::default(),
        "/net" => return Err(io::ErrorKind::PermissionDenied.into()),
        // Reserved blocks: used and free do not add up to the total. No inodes, as on btrfs.
        "/srv/my data" => Usage {
            total: 10 * GIB,
            free: 3 * GIB,
            used: 6 * GIB,
            ..Usage::default()
        },
        // More inodes free than there are, as some network file systems tell.
        "/none" => Usage {
            total: GIB,
            free: 0,
            used: 0,
            inodes_total: 1,
            inodes_free: 2,
        },
        _ => Usage {
            total: 100 * GIB,
            free: 60 * GIB,
            used: 20 * GIB,
            inodes_total: 1000,
            inodes_free: 900,
        },
    })
}

#[track_caller]
fn check(options: DiskOptions, roots: &Roots, expected: &Expect) {
    let prober = Prober::new(Duration::from_secs(60), answer);
    let mut disk = Disk::with_prober(options, prober);
    let mut batch = Batch::new(crate::batch::Tags::from([]));
    let at = Moment {
        time_ns: 1,
        monotonic_ns: 1,
    };
    let result = disk.gather(roots, at, &mut batch);
    let mut shown = String::from_utf8_lossy(batch.as_bytes()).into_owned();
    if let Err(troubles) = result {
        shown += &format!("! {} trouble(s)\n", troubles.count());
    }
    expected.assert_eq(&shown);
}

#[test]
fn the_default_leaves_out_what_holds_no_data() {
    let roots = Roots::under(&tree("web1/first"));
    check(
        DiskOptions::default(),
        &roots,
        &expect![[r#"
        disk,device=sda1,fstype=ext4,mode=rw,path=/ total=107374182400i,free=64424509440i,used=21474836480i,used_percent=25,inodes_total=1000i,inodes_free=900i,inodes_used=100i,inodes_used_percent=10 0
        disk,device=dm-0,fstype=xfs,label=vg-data,mode=ro,path=/srv/my\ data total=10737418240i,free=3221225472i,used=6442450944i,used_percent=66.66666666666667,inodes_total=0i,inodes_free=0i,inodes_used=0i,inodes_used_percent=0 0
        disk,device=sda1,fstype=ext4,mode=rw,path=/mnt/bind total=107374182400i,free=64424509440i,used=21474836480i,used_percent=25,inodes_total=1000i,inodes_free=900i,inodes_used=100i,inodes_used_percent=10 0
        disk,device=fuse.x,fstype=fuse.x,mode=rw,path=/none total=1073741824i,free=0i,used=0i,used_percent=0,inodes_total=1i,inodes_free=2i,inodes_used=0i,inodes_used_percent=0 0
    "#]],
    );
}

#[test]
fn options_choose() {
    let roots = Roots::under(&tree("web1/first"));
    let without = DiskOptions {
        ignore_fs: vec!["xfs".into(), "fuse.x".into()],
        ignore_mount_opts: vec!["bind".into()],
        ..DiskOptions::default()
    };
    check(
        without,
        &roots,
        &expect![[r#"
        disk,device=sda1,fstype=ext4,mode=rw,path=/ total=107374182400i,free=64424509440i,used=21474836480i,used_percent=25,inodes_total=1000i,inodes_free=900i,inodes_used=100i,inodes_used_percent=10 0
        disk,device=tmpfs,fstype=tmpfs,mode=rw,path=/run total=107374182400i,free=64424509440i,used=21474836480i,used_percent=25,inodes_total=1000i,inodes_free=900i,inodes_used=100i,inodes_used_percent=10 0
    "#]],
    );
    let only = DiskOptions {
        mount_points: vec!["/srv/my data".into()],
        ..DiskOptions::default()
    };
    check(
        only,
        &roots,
        &expect![[r#"
        disk,device=dm-0,fstype=xfs,label=vg-data,mode=ro,path=/srv/my\ data total=10737418240i,free=3221225472i,used=6442450944i,used_percent=66.66666666666667,inodes_total=0i,inodes_free=0i,inodes_used=0i,inodes_used_percent=0 0
    "#]],
    );
}

#[test]
fn the_rest_of_an_odd_list_is_reported() {
    check(
        DiskOptions::default(),
        &Roots::under(&tree("odd")),
        &expect![[r#"
            disk,device=sda1,fstype=ext4,mode=rw,path=/ total=107374182400i,free=64424509440i,used=21474836480i,used_percent=25,inodes_total=1000i,inodes_free=900i,inodes_used=100i,inodes_used_percent=10 0
            ! 2 trouble(s)
        "#]],
    );
}

#[test]
fn mounts_of_the_host_are_asked_under_the_prefix_and_shown_without_it() {
    let tree = tree("container");
    let roots = Roots::from_lookup(|name| match name {
        "HOST_PROC" => Some(tree.join("proc").into_os_string()),
        "HOST_MOUNT_PREFIX" => Some("/hostfs".into()),
        "HOST_SYS" | "HOST_DEV" | "HOST_RUN" => Some("/no/such".into()),
        _ => None,
    });
    check(
        DiskOptions::default(),
        &roots,
        &expect![[r#"
        disk,device=sda1,fstype=ext4,mode=rw,path=/ total=107374182400i,free=64424509440i,used=21474836480i,used_percent=25,inodes_total=1000i,inodes_free=900i,inodes_used=100i,inodes_used_percent=10 0
        disk,device=sda2,fstype=ext4,mode=rw,path=/home total=107374182400i,free=64424509440i,used=21474836480i,used_percent=25,inodes_total=1000i,inodes_free=900i,inodes_used=100i,inodes_used_percent=10 0
        disk,device=sda3,fstype=ext4,mode=rw,path=/data total=107374182400i,free=64424509440i,used=21474836480i,used_percent=25,inodes_total=1000i,inodes_free=900i,inodes_used=100i,inodes_used_percent=10 0
    "#]],
    );
}

#[test]
fn a_label_known_to_udev_is_a_tag() {
    let dir = tempfile::tempdir().unwrap();
    let roots = Roots::under(dir.path());
    let null = rustix::fs::stat("/dev/null").unwrap().st_rdev;
    let (major, minor) = (rustix::fs::major(null), rustix::fs::minor(null));
    std::fs::create_dir_all(dir.path().join("dev")).unwrap();
    std::os::unix::fs::symlink("/dev/null", dir.path().join("dev/sdz1")).unwrap();
    let udev = dir.path().join("run/udev/data");
    std::fs::create_dir_all(&udev).unwrap();
    let data = "S:disk/by-label/x\nE:ID_FS_LABEL_ENC=no\nE:ID_FS_LABEL=my disk\n";
    std::fs::write(udev.join(format!("b{major}:{minor}")), data).unwrap();
    let mut source = Source::default();
    assert_eq!(label(b"/dev/sdz1", &roots, &mut source), b"my disk");
    assert_eq!(label(b"/dev/sdz2", &roots, &mut source), b"");
    assert_eq!(label(b"srv:/../../dev/sdz1", &roots, &mut source), b"");
}

#[test]
fn a_mount_that_hangs_is_one_trouble_and_the_others_are_reported() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let prober = Prober::new(Duration::from_millis(250), move |path| {
        if path == Path::new("/net") {
            counter.fetch_add(1, Ordering::Relaxed);
            loop {
                std::thread::park();
            }
        }
        answer(path)
    });
    let mut disk = Disk::with_prober(DiskOptions::default(), prober);
    let roots = Roots::under(&tree("web1/first"));
    let mut batch = Batch::new(crate::batch::Tags::from([]));
    let at = Moment {
        time_ns: 1,
        monotonic_ns: 1,
    };
    let troubles = disk.gather(&roots, at, &mut batch).unwrap_err();
    assert_eq!(troubles.count(), 1);
    assert!(troubles.first().unwrap().to_string().starts_with("/net: "));
    let reported = batch.lines();
    assert!(reported >= 3);
    batch.start(2);
    disk.gather(&roots, at, &mut batch).unwrap();
    assert_eq!(batch.lines(), reported);
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[test]
fn dev_is_cut_anywhere() {
    assert_eq!(without_dev(b"/dev/sda1"), b"sda1");
    assert_eq!(without_dev(b"x/dev/y/dev/"), b"xy");
    assert_eq!(without_dev(b"pool/dataset"), b"pool/dataset");
}
