//! Where the socket of a served pool is.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::geteuid;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::{Serve, pool, text};

/// What `plushie-pool-` and the names behind it add to a directory's.
const ADDED: usize = "/plushie-pool-0123456789ab/renderer.sock".len();

/// The longest path of a socket on Linux.
const LONGEST: usize = 107;

/// A new directory whose path is that long.
fn directory_of(base: &Path, length: usize) -> PathBuf {
    let missing = length - base.as_os_str().len() - 1;
    let path = base.join("d".repeat(missing));
    fs::create_dir(&path).unwrap();
    path
}

/// A server with these variables. It can be reached, from any directory.
fn served(variables: &[(&str, &str)]) -> Serve {
    let elsewhere = tempfile::tempdir().unwrap();
    let mut serve = pool(&["serve"]);
    serve
        .env_remove("XDG_RUNTIME_DIR")
        .env_remove("TMPDIR")
        .envs(variables.iter().copied());
    let serve = Serve::by(&mut serve);
    assert!(Path::new(&serve.socket).is_absolute(), "{}", serve.socket);
    assert!(serve.socket.len() <= LONGEST, "{}", serve.socket);
    let mut status = serve.pool(&["status"]);
    let output = status.current_dir(elsewhere.path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serve
}

#[test]
fn a_directory_that_is_too_long_is_passed_over_and_one_that_fits_is_not() {
    let base = tempfile::Builder::new()
        .prefix("b")
        .tempdir_in("/tmp")
        .unwrap();
    for length in [
        LONGEST - ADDED,
        LONGEST - ADDED + 1,
        LONGEST - ADDED + 12,
        LONGEST,
        LONGEST + 43,
    ] {
        let runtime = directory_of(base.path(), length);
        let mut serve = served(&[("XDG_RUNTIME_DIR", runtime.to_str().unwrap())]);
        let is_there = Path::new(&serve.socket).starts_with(&runtime);
        assert_eq!(is_there, length + ADDED <= LONGEST, "{}", serve.socket);
        serve.end();
        assert_eq!(fs::read_dir(&runtime).unwrap().count(), 0);
    }
}

#[test]
fn a_directory_that_is_no_use_is_passed_over() {
    let base = tempfile::tempdir().unwrap();
    let make = |name: &str, mode: u32| {
        let path = base.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = make("good", 0o755);
    let missing = base.path().join("missing").to_str().unwrap().to_owned();
    let file = base.path().join("file").to_str().unwrap().to_owned();
    fs::write(&file, "").unwrap();
    let mut useless = vec![
        String::new(),
        ".".to_owned(),
        "tmp".to_owned(),
        missing,
        file,
        make("everyones", 0o777),
    ];
    if geteuid().is_root() {
        let others = make("others", 0o777);
        std::os::unix::fs::chown(&others, Some(1234), None).unwrap();
        useless.push(others);
    } else {
        useless.push(make("unwritable", 0o500));
    }
    for useless in useless {
        let runtime = [("XDG_RUNTIME_DIR", &*useless), ("TMPDIR", &*good)];
        let mut serve = served(&runtime);
        assert!(
            serve.socket.starts_with(&good),
            "{useless}: {}",
            serve.socket
        );
        serve.end();
        let mut serve = served(&[("XDG_RUNTIME_DIR", &*useless), ("TMPDIR", &*useless)]);
        assert!(serve.socket.starts_with("/tmp/plushie-pool-"), "{useless}");
        serve.end();
    }
}

/// `systemd-tmpfiles` keeps sockets whose names the kernel knows, and locked directories.
#[test]
fn an_old_socket_is_kept_from_being_cleaned_away() {
    let base = tempfile::tempdir().unwrap();
    let named = base.path().join("named.sock");
    let runtime = [("XDG_RUNTIME_DIR", base.path().to_str().unwrap())];
    let mut private = served(&runtime);
    let mut listening = Serve::start(&["--listen", named.to_str().unwrap(), "--no-token"]);
    let known = fs::read_to_string("/proc/net/unix").unwrap();
    for serve in [&private, &listening] {
        let name = format!(" {}", serve.socket);
        let bound = known.lines().any(|line| line.ends_with(&name));
        assert!(bound, "{}", serve.socket);
    }
    let directory = File::open(Path::new(&private.socket).parent().unwrap()).unwrap();
    assert!(directory.try_lock().is_err());
    directory.try_lock_shared().unwrap();
    clean(base.path());
    for serve in [&mut private, &mut listening] {
        UnixStream::connect(&serve.socket).unwrap();
        serve.end();
    }
    assert_eq!(fs::read_dir(base.path()).unwrap().count(), 0);
}

/// Removes whatever is old in there, and everything is, if there is systemd.
fn clean(base: &Path) {
    let rules = tempfile::NamedTempFile::with_suffix(".conf").unwrap();
    fs::write(rules.path(), format!("d {} - - - 0\n", base.display())).unwrap();
    let old = base.join("old");
    fs::write(&old, "").unwrap();
    let cleaned = Command::new("systemd-tmpfiles")
        .arg("--clean")
        .arg(rules.path())
        .output();
    match cleaned {
        Ok(output) => assert!(output.status.success() && !old.exists(), "{output:?}"),
        Err(_) => fs::remove_file(old).unwrap(),
    }
}

#[test]
fn a_live_socket_is_never_taken_however_busy_its_server_is() {
    let base = tempfile::tempdir().unwrap();
    let path = base.path().join("busy.sock");
    let _busy = UnixListener::bind(&path).unwrap();
    // It accepts none of them, and has no room for more in the end.
    let waiting: Vec<_> = std::iter::from_fn(|| {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(&SockAddr::unix(&path).unwrap()).ok()?;
        Some(socket)
    })
    .collect();
    assert!(!waiting.is_empty());
    let listen = ["serve", "--no-token", "--listen", path.to_str().unwrap()];
    let output = pool(&listen).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let error = text(&output.stderr);
    assert!(
        error.contains("another process listens there already"),
        "{error}"
    );
}
