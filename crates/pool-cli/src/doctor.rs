//! `plushie-pool doctor`: whether there is a renderer, and what of it works here.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use plushie_pool::{RendererMode, SessionPool, WireFormat};
use plushie_pool_renderer::Discovery;
use serde_json::{Value, json};
use tokio::runtime;

use crate::counter::Counter;
use crate::display_check::DisplayCheck;
use crate::failure::Failure;
use crate::renderer;

/// Find the renderer, try each mode and format, and say what is missing and how to get it
///
/// The renderer is looked for as a pool in a test does: --renderer, PLUSHIE_BINARY_PATH, what
/// `cargo plushie build` left behind, bin/, PATH. If there is none, the one inside this command
/// is tried, as `run` and `serve` use it. In each mode and format a small app is shown, clicked
/// and compared, and drawn where that is possible. For windows each display is tried that is there
/// or installed, to see whether a new window gets the input focus. The exit code is 0 if all that was tried works,
/// else 1.
#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    /// Try this mode only; may be given again for another [default: all three]
    #[arg(long)]
    mode: Vec<RendererMode>,

    /// Try this format only; may be given again for another [default: both]
    #[arg(long)]
    format: Vec<WireFormat>,

    /// The renderer's binary [default: the one that is found]
    #[arg(long, value_name = "PATH")]
    renderer: Option<PathBuf>,

    /// Print one JSON object in place of the table:
    /// {"ok":true,"renderer":{"ok":true,"path":"bin/plushie-renderer"},"checks":[{"mode":"mock",
    /// "format":"json","ok":true,"ms":12.3,"version":"0.7.1"}],"displays":[{"display":"xvfb",
    /// "ok":true,"ms":45.6,"gives_focus":true}]}, with "error" where something is not ok
    #[arg(long)]
    json: bool,
}

const HOW_TO_HAVE_ONE: &str =
    "to have one: cargo install plushie-renderer --version 0.7.1, or set PLUSHIE_BINARY_PATH";

struct Diagnosis {
    renderer: Found,
    checks: Vec<Check>,
    displays: Vec<DisplayCheck>,
}

/// The renderer that was found.
struct Found {
    /// None if it is the one inside this command.
    path: Option<PathBuf>,
    /// Why there is no other.
    problem: Option<Failure>,
    /// Whether any can be tried.
    is_there: bool,
}

struct Check {
    mode: RendererMode,
    format: WireFormat,
    time: Duration,
    /// The renderer's version, if it works.
    outcome: Result<String, Failure>,
}

impl Doctor {
    pub(crate) fn run(&self) -> ExitCode {
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        let diagnosis = match runtime {
            Ok(runtime) => runtime.block_on(self.examine()),
            Err(error) => return Failure::Runtime(error).report(),
        };
        let text = match self.json {
            true => format!("{}\n", diagnosis.to_json()),
            false => diagnosis.to_string(),
        };
        if let Err(error) = io::stdout().write_all(text.as_bytes()) {
            return Failure::Announce(error).report();
        }
        match diagnosis.is_ok() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        }
    }

    async fn examine(&self) -> Diagnosis {
        let renderer = self.find();
        let modes = chosen(&self.mode, &RendererMode::ALL);
        let formats = chosen(&self.format, &WireFormat::ALL);
        let mut checks = Vec::new();
        let mut displays = Vec::new();
        if renderer.is_there {
            for mode in modes {
                for format in formats {
                    let start = Instant::now();
                    let outcome = try_out(renderer.path.as_deref(), *mode, *format).await;
                    checks.push(Check {
                        mode: *mode,
                        format: *format,
                        time: start.elapsed(),
                        outcome,
                    });
                }
            }
            if modes.contains(&RendererMode::Windowed) {
                displays = DisplayCheck::all(renderer.path.as_deref()).await;
            }
        }
        Diagnosis {
            renderer,
            checks,
            displays,
        }
    }

    fn find(&self) -> Found {
        let search = Discovery::here();
        let search = match &self.renderer {
            Some(path) => search.explicit(path),
            None => search,
        };
        // Somebody asked for one that is not there.
        let is_named = self.renderer.is_some()
            || search
                .variable
                .as_ref()
                .is_some_and(|path| !path.is_empty());
        match search.find() {
            Ok(path) => Found {
                path: Some(path),
                problem: None,
                is_there: true,
            },
            Err(error) => Found {
                path: None,
                problem: Some(error.into()),
                is_there: cfg!(feature = "embedded-renderer") && !is_named,
            },
        }
    }
}

fn chosen<'a, T>(given: &'a [T], all: &'a [T]) -> &'a [T] {
    match given {
        [] => all,
        given => given,
    }
}

/// What a test does in its first seconds; the renderer's version.
async fn try_out(
    path: Option<&Path>,
    mode: RendererMode,
    format: WireFormat,
) -> Result<String, Failure> {
    let pool = SessionPool::builder().with_env().mode(mode).format(format);
    let pool = renderer::choose(pool.max_sessions(2), path)?
        .start()
        .await?;
    let tried = async {
        let session = pool.register().await?;
        let mut counter = Counter::new(&session);
        counter.show().await?;
        counter.click().await?;
        counter.check_tree().await?;
        if mode == RendererMode::Headless {
            counter.screenshot().await?;
        }
        let renderers = pool.status().renderers;
        session.unregister().await?;
        let version = renderers.into_iter().next();
        Ok(version.map_or_else(String::new, |renderer| renderer.version))
    };
    let tried: Result<String, Failure> = tried.await;
    let stopped = pool.shutdown().await;
    let version = tried?;
    stopped?;
    Ok(version)
}

impl Diagnosis {
    fn is_ok(&self) -> bool {
        self.renderer.is_there
            && self.checks.iter().all(|check| check.outcome.is_ok())
            && self.displays.iter().all(|check| check.failure().is_none())
    }

    fn to_json(&self) -> Value {
        let mut renderer = json!({
            "ok": self.renderer.is_there,
            "path": self.renderer.path.as_ref().map(|path| path.display().to_string()),
            "built_in": self.renderer.is_there && self.renderer.path.is_none(),
        });
        if let Some(problem) = &self.renderer.problem {
            renderer["error"] = problem.to_string().into();
            renderer["advice"] = HOW_TO_HAVE_ONE.into();
        }
        let checks: Vec<_> = self.checks.iter().map(Check::to_json).collect();
        let displays: Vec<_> = self.displays.iter().map(DisplayCheck::to_json).collect();
        json!({
            "ok": self.is_ok(), "renderer": renderer, "checks": checks, "displays": displays,
        })
    }
}

/// A table, then what is wrong, each thing once.
impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.renderer.path {
            Some(path) => writeln!(f, "renderer: {}", path.display())?,
            None if self.renderer.is_there => {
                writeln!(
                    f,
                    "renderer: none installed; the one inside this command is tried"
                )?;
            }
            None => writeln!(f, "renderer: missing")?,
        }
        for check in &self.checks {
            writeln!(f, "{check}")?;
        }
        for check in &self.displays {
            writeln!(f, "{check}")?;
        }
        if let Some(advice) = DisplayCheck::advice(&self.displays) {
            writeln!(f, "\n{advice}")?;
        }
        if let Some(problem) = &self.renderer.problem {
            let note = match self.renderer.is_there {
                true => "note, for a pool that a test starts itself: ",
                false => "",
            };
            writeln!(f, "\n{note}{problem}\n{}", HOW_TO_HAVE_ONE)?;
        }
        let mut known = Vec::new();
        let checks = self.checks.iter().filter_map(|check| {
            let failure = check.outcome.as_ref().err()?;
            Some((check.mode, failure))
        });
        let displays = self.displays.iter().filter_map(DisplayCheck::failure);
        let displays = displays.map(|failure| (RendererMode::Windowed, failure));
        for (mode, failure) in checks.chain(displays) {
            let problem = (mode, failure.to_string());
            // It may have been said for the other format.
            if !known.contains(&problem) {
                writeln!(f, "\n{}: {}", problem.0, problem.1)?;
                known.push(problem);
            }
        }
        let verdict = match self.is_ok() {
            true => "all that was tried works",
            false => "something is missing or does not work",
        };
        writeln!(f, "\n{verdict}")
    }
}

impl Check {
    fn to_json(&self) -> Value {
        let mut check = json!({
            "mode": self.mode.to_string(),
            "format": self.format.to_string(),
            "ok": self.outcome.is_ok(),
            "ms": (self.time.as_secs_f64() * 1_000_000.0).round() / 1_000.0,
        });
        match &self.outcome {
            Ok(version) => check["version"] = version.as_str().into(),
            Err(failure) => check["error"] = failure.to_string().into(),
        }
        check
    }
}

/// A row of the table.
impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = String::new();
        let ms = self.time.as_secs_f64() * 1_000.0;
        write!(
            row,
            "{:<8}  {:<7}  {ms:>7.1} ms  ",
            self.mode.to_string(),
            self.format.to_string()
        )?;
        match &self.outcome {
            Ok(version) => write!(row, "ok (renderer {version})")?,
            Err(_) => row.push_str("FAILED"),
        }
        f.write_str(&row)
    }
}
