//! How many threads this process and its renderers may have.

use std::fs;
use std::path::{Path, PathBuf};

/// The lowest of the limits that are known; none where there is no limit, or none is known.
pub(crate) fn thread_limit() -> Option<u64> {
    let of_user = of_user();
    let of_group = of_control_group(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup"));
    of_user.into_iter().chain(of_group).min()
}

/// As `ulimit -u` shows it.
fn of_user() -> Option<u64> {
    #[cfg(all(unix, not(target_os = "solaris")))]
    {
        rustix::process::getrlimit(rustix::process::Resource::Nproc).current
    }
    #[cfg(not(all(unix, not(target_os = "solaris"))))]
    None
}

/// As a container has it: the lowest `pids.max` of the control group that `membership` names, and
/// of all around it, under `root`.
fn of_control_group(membership: &Path, root: &Path) -> Option<u64> {
    let membership = fs::read_to_string(membership).ok()?;
    let groups = membership.lines().filter_map(|line| {
        // Number, controllers, path; version 2 has the number 0 and no controllers.
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        let root = match controllers {
            "" => root.to_owned(),
            "pids" => root.join("pids"),
            _ => return None,
        };
        Some((root, PathBuf::from(path.trim_start_matches('/'))))
    });
    let limits = groups.flat_map(|(root, path)| {
        let around: Vec<_> = path.ancestors().map(|path| root.join(path)).collect();
        around
    });
    limits
        .filter_map(|group| {
            let limit = fs::read_to_string(group.join("pids.max")).ok()?;
            // It says "max" where there is none.
            limit.trim().parse().ok()
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_limit_of_the_groups_around_counts() {
        let base = tempfile::tempdir().expect("a directory");
        let root = base.path().join("cgroup");
        let membership = base.path().join("membership");
        let write = |path: &Path, text: &str| {
            fs::create_dir_all(path.parent().expect("it has one")).expect("made");
            fs::write(path, text).expect("written");
        };
        for (line, limits, expected) in [
            ("0::/\n", &[("pids.max", "300\n")][..], Some(300)),
            (
                "0::/a/b\n",
                &[("a/b/pids.max", "max\n"), ("a/pids.max", "70\n")],
                Some(70),
            ),
            ("0::/a\n", &[("a/pids.max", "max\n")], None),
            ("0::/a\n", &[], None),
            (
                "5:pids:/c\n1:cpu:/c\n",
                &[("pids/c/pids.max", "9\n")],
                Some(9),
            ),
            ("nonsense\n", &[], None),
        ] {
            let _ = fs::remove_dir_all(&root);
            write(&membership, line);
            for (path, limit) in limits {
                write(&root.join(path), limit);
            }
            assert_eq!(of_control_group(&membership, &root), expected, "{line}");
        }
        assert_eq!(of_control_group(Path::new("/no/such"), &root), None);
    }
}
