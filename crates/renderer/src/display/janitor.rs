//! Who clears away what a display server leaves behind, when nobody else is left to do it.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use plushie_pool_core::{Error, ErrorKind};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::Environment;

/// A process that makes a directory, and removes it when this value or this program is gone,
/// however that ends: it waits for the end of its input.
///
/// It is in a process group of its own and deaf to what is sent to be polite, so that what
/// ends a whole group does not end it before its work is done.
#[derive(Debug)]
pub(super) struct Janitor {
    child: Child,
    orders: ChildStdin,
    directory: PathBuf,
}

/// Makes a directory and says where, reads the path of a socket elsewhere if there is one, and
/// at the end removes both.
///
/// Between the end of a server and that, another may have taken its place: a link keeps the
/// socket from being mistaken. Where none can be made, the socket stays; it is in nobody's way.
///
/// Nobody may be left to be told where the directory is.
const SCRIPT: &str = r#"
trap '' HUP INT TERM PIPE
made=$(mktemp -d "$1" 2>&1) || { echo "$made"; exit 1; }
echo "$made"
while read -r path; do socket=$path; ln -- "$socket" "$made/socket"; done
[ "$socket" -ef "$made/socket" ] && rm -f -- "$socket"
rm -rf -- "$made"
"#;

/// Where sockets are: their paths may have 107 bytes, and X has its own below `/tmp`.
const TEMPLATE: &str = "/tmp/plushie-pool-XXXXXXXXXX";

/// How long it may take to remove a directory with a handful of files: milliseconds, unless the
/// disk is busy.
const PATIENCE: Duration = Duration::from_secs(10);

impl Janitor {
    /// Starts one, with a fresh directory that only this user may enter.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Display`] with the system's reason.
    pub(super) async fn start() -> Result<Self, Error> {
        let failed = |problem: &str| {
            let message = format!("no directory {TEMPLATE} for the display can be made: {problem}");
            Error::new(ErrorKind::Display, message)
        };
        Self::spawn()
            .await
            .map_err(|error| failed(&error.to_string()))?
            .map_err(|said| failed(&said))
    }

    async fn spawn() -> io::Result<Result<Self, String>> {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "sh", TEMPLATE])
            .env_clear()
            .envs(Environment::inherited().iter())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        #[cfg(unix)]
        command.process_group(0);
        let mut child = command.spawn()?;
        let orders = child.stdin.take().expect("stdin was asked to be a pipe");
        let stdout = child.stdout.take().expect("stdout was asked to be a pipe");
        let mut said = String::new();
        BufReader::new(stdout).read_line(&mut said).await?;
        let said = said.trim_end_matches('\n');
        if !said.starts_with('/') {
            return Ok(Err(said.to_owned()));
        }
        Ok(Ok(Self {
            child,
            orders,
            directory: said.into(),
        }))
    }

    /// Its directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Has this socket removed too, unless it is another by then.
    ///
    /// # Errors
    ///
    /// If it is gone.
    pub(super) async fn clear_away(&mut self, path: &str) -> io::Result<()> {
        self.orders
            .write_all(format!("{path}\n").as_bytes())
            .await?;
        self.orders.flush().await
    }

    /// Waits until all is removed.
    pub(super) async fn finish(self) {
        let Self {
            mut child,
            orders,
            directory,
        } = self;
        drop(orders);
        let directory = directory.display();
        match timeout(PATIENCE, child.wait()).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(status) => tracing::warn!(%directory, ?status, "it may not have been removed"),
            Err(_) => tracing::warn!(%directory, "removing it takes long; left to itself"),
        }
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::net::UnixListener;
    use std::process::{Child, Command};

    use super::*;

    fn start(folder: &Path) -> Child {
        Command::new("/bin/sh")
            .args(["-c", SCRIPT, "sh"])
            .arg(folder.join("XXXXXX"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn nothing_is_left_by_a_host_that_was_gone_before_it_was_told() {
        let folder = tempfile::tempdir().unwrap();
        for _ in 0..20 {
            let mut janitor = start(folder.path());
            drop(janitor.stdout.take());
            drop(janitor.stdin.take());
            assert!(janitor.wait().unwrap().success());
            assert_eq!(names(folder.path()), [""; 0]);
        }
    }

    #[test]
    fn a_socket_is_removed_unless_it_is_another_by_then() {
        use std::io::{BufRead, BufReader};
        for replaced in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let socket = folder.path().join("socket");
            let listener = UnixListener::bind(&socket).unwrap();
            let mut janitor = start(folder.path());
            let mut made = String::new();
            let mut stdout = BufReader::new(janitor.stdout.take().unwrap());
            stdout.read_line(&mut made).unwrap();
            let made = Path::new(made.trim_end());
            let mut orders = janitor.stdin.take().unwrap();
            writeln!(orders, "{}", socket.display()).unwrap();
            // It has read that when it has made its link.
            while !made.join("socket").exists() {
                std::thread::yield_now();
            }
            if replaced {
                fs::remove_file(&socket).unwrap();
                let _another = UnixListener::bind(&socket).unwrap();
            }
            drop((orders, listener));
            assert!(janitor.wait().unwrap().success());
            let left = if replaced { vec!["socket"] } else { vec![] };
            assert_eq!(names(folder.path()), left);
        }
    }
}
