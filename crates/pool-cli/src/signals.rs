//! Signals that ask this command to end.

#[cfg(unix)]
pub(crate) use unix::{Asked, asked_to_end, end_by, keep_exit_statuses};

#[cfg(unix)]
mod unix {
    use std::fs;
    use std::io::{self, IsTerminal};
    use std::sync::Arc;

    use rustix::process::{Resource, Signal, getrlimit, setrlimit};
    use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    use signal_hook::iterator::SignalsInfo;
    use signal_hook::iterator::exfiltrator::WithOrigin;
    use signal_hook::low_level::siginfo::Cause;

    /// A signal that was sent to this process.
    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Asked {
        pub(crate) signal: Signal,
        /// A terminal sends it to all that runs in the foreground, the command's child included.
        pub(crate) by_terminal: bool,
    }

    const SIGNALS: [(i32, Signal); 4] = [
        (SIGHUP, Signal::HUP),
        (SIGINT, Signal::INT),
        (SIGQUIT, Signal::QUIT),
        (SIGTERM, Signal::TERM),
    ];

    /// Calls `act` for each of them, on a thread of its own, for as long as the process lives.
    /// Those that are ignored, as `nohup` and a shell's `&` have it, stay so.
    ///
    /// # Errors
    ///
    /// If the system does not let it.
    pub(crate) fn asked_to_end(mut act: impl FnMut(Asked) + Send + 'static) -> io::Result<()> {
        let ignored = ignored();
        let heeded = SIGNALS.map(|(number, _)| number);
        let heeded = heeded.iter().filter(|&&number| !ignored(number));
        let mut signals = SignalsInfo::<WithOrigin>::new(heeded)?;
        let listen = move || {
            for origin in signals.forever() {
                let known = SIGNALS.iter().find(|(number, _)| *number == origin.signal);
                let Some(&(_, signal)) = known else { continue };
                let typed = matches!(signal, Signal::INT | Signal::QUIT);
                act(Asked {
                    signal,
                    by_terminal: typed && is_of_terminal(&origin.cause),
                });
            }
        };
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(listen)?;
        Ok(())
    }

    /// Has the system keep how children ended until they are waited for. It does not while
    /// `SIGCHLD` is ignored, and a parent that ignores it hands that on.
    ///
    /// # Errors
    ///
    /// If the system does not let it.
    pub(crate) fn keep_exit_statuses() -> io::Result<()> {
        // Any handler will do, and children do not inherit it.
        signal_hook::flag::register(SIGCHLD, Arc::default()).map(drop)
    }

    /// Ends this process by one of these signals, as a command without handlers would end: a
    /// shell stops its script only then. Returns if that is not possible: for other signals, and
    /// in the first process of a container, which the system does not end by its own signals.
    pub(crate) fn end_by(number: i32) {
        let is_known = SIGNALS.iter().any(|(known, _)| *known == number);
        if !is_known || std::process::id() == 1 {
            return;
        }
        // If a core was dumped, then of the command that was asked to end, and not of this one.
        let mut cores = getrlimit(Resource::Core);
        cores.current = Some(0);
        // Without it there may be one core too many.
        let _ = setrlimit(Resource::Core, cores);
        // Where it fails the caller goes on to exit.
        let _ = signal_hook::low_level::emulate_default_handler(number);
    }

    /// Whether a signal was ignored when this process was started, where the system tells.
    fn ignored() -> impl Fn(i32) -> bool {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .unwrap_or(0);
        move |number| mask & (1 << (number - 1)) != 0
    }

    /// Linux says so; elsewhere it is as good a guess as any.
    fn is_of_terminal(cause: &Cause) -> bool {
        match cause {
            Cause::Kernel => true,
            _ => !cfg!(target_os = "linux") && io::stdin().is_terminal(),
        }
    }
}
