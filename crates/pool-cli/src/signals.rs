//! Signals that ask this command to end.

#[cfg(unix)]
pub(crate) use unix::asked_to_end;

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::io;
    use std::io::IsTerminal;

    use rustix::process::Signal;
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    use signal_hook::iterator::Signals;

    /// A signal that was sent to this process.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Asked {
        pub(crate) signal: Signal,
        /// A terminal sends it to all that runs in the foreground, the command's child included.
        pub(crate) by_terminal: bool,
    }

    /// Calls `act` for each of them, on a thread of its own, for as long as the process lives.
    ///
    /// # Errors
    ///
    /// If the system does not let it.
    pub(crate) fn asked_to_end(mut act: impl FnMut(Asked) + Send + 'static) -> io::Result<()> {
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])?;
        let listen = move || {
            for number in signals.forever() {
                let signal = match number {
                    SIGHUP => Signal::HUP,
                    SIGINT => Signal::INT,
                    SIGQUIT => Signal::QUIT,
                    _ => Signal::TERM,
                };
                let typed = matches!(signal, Signal::INT | Signal::QUIT);
                act(Asked {
                    signal,
                    by_terminal: typed && in_foreground(),
                });
            }
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(listen)?;
        Ok(())
    }

    /// Whether what is typed at a terminal reaches this process.
    fn in_foreground() -> bool {
        // The group of this process, and that in the foreground of its terminal, after the name
        // in brackets, which may be anything.
        let groups = fs::read_to_string("/proc/self/stat").ok().and_then(|stat| {
            let (_, fields) = stat.rsplit_once(')')?;
            let fields: Vec<_> = fields.split_whitespace().collect();
            Some((*fields.get(2)? == *fields.get(5)?, ()))
        });
        match groups {
            Some((same, ())) => same,
            // No Linux: as good a guess as any.
            None => io::stdin().is_terminal(),
        }
    }
}
