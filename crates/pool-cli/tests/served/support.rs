//! What the tests share.

use std::path::Path;
use std::process::{Child, Command};

use rustix::process::Pid;

pub(crate) fn pool_directories(base: &Path) -> usize {
    let entries = std::fs::read_dir(base).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name());
    names
        .filter(|name| name.to_string_lossy().starts_with("plushie-pool-"))
        .count()
}

pub(crate) fn pool(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plushie-pool"));
    command.args(args);
    for name in [
        "PLUSHIE_SOCKET",
        "PLUSHIE_TOKEN",
        "PLUSHIE_TEST_BACKEND",
        "PLUSHIE_TEST_MAX_SESSIONS",
    ] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap()).unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
