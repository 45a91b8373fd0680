//! `plushie-pool demo`: a counter in each of several sessions at once.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use futures::future::join_all;
use plushie_pool::{Builder, RendererMode, RendererStatus, SessionPool, Status};
use tokio::runtime;

use crate::counter::Counter;
use crate::failure::{Failure, say};
use crate::progress::Progress;
use crate::renderer_options::RendererOptions;
use crate::report::{self, Report, SessionReport};

/// Run a small counter app in several sessions at once, and check all that the renderer answers
///
/// Each session shows the app, clicks its button, receives the event, patches the count and
/// reads it back; at the end the renderer's whole tree is compared with what it was told. The
/// exit code is 0 if everything was as expected, 1 if something was not, 2 if the command
/// line or the environment makes no sense.
#[derive(Debug, clap::Args)]
#[command(after_long_help = ENVIRONMENT)]
pub(crate) struct Demo {
    #[command(flatten)]
    renderer: RendererOptions,

    /// How many sessions to run at once [default: 8]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=10_000))]
    sessions: Option<u16>,

    /// How often each session clicks its button
    #[arg(long, value_name = "N", default_value_t = 10)]
    clicks: u32,

    /// Where to save what each session shows at the end, as s1.png, s2.png, ...; not in mock
    /// mode, which draws nothing
    #[arg(long, value_name = "DIR")]
    screenshots: Option<PathBuf>,

    /// Print one JSON object in place of the table:
    /// {"ok":true,"sessions":[{"id":"s1","round_trips":21,"ms":3.2,"ok":true}]}, with "error"
    /// where something is not ok
    #[arg(long)]
    json: bool,
}

const ENVIRONMENT: &str = "\
Environment, where no option says otherwise:
  PLUSHIE_TEST_BACKEND       --mode
  PLUSHIE_TEST_MAX_SESSIONS  --sessions
  PLUSHIE_TEST_TIMEOUT       a factor for all timeouts";

impl Demo {
    pub(crate) fn run(&self) -> ExitCode {
        // Sessions need no runtime, but time does.
        let runtime = runtime::Builder::new_current_thread().enable_time().build();
        let outcome = match runtime {
            Ok(runtime) => runtime.block_on(self.in_a_pool()),
            Err(error) => Err(Failure::Runtime(error)),
        };
        report::publish(&outcome, self.json)
    }

    async fn in_a_pool(&self) -> Result<Report, Failure> {
        let pool = self.pool()?.start().await?;
        let outcome = self.in_sessions(&pool).await;
        let stopped = pool.shutdown().await;
        let report = outcome?;
        stopped?;
        Ok(report)
    }

    fn pool(&self) -> Result<Builder, Failure> {
        let pool = self.renderer.builder(SessionPool::builder())?;
        Ok(match self.sessions {
            Some(sessions) => pool.max_sessions(sessions.into()),
            None => pool,
        })
    }

    async fn in_sessions(&self, pool: &SessionPool) -> Result<Report, Failure> {
        // What the environment has said is known only now.
        let Status {
            mode,
            format,
            max_sessions: sessions,
            ..
        } = pool.status();
        self.prepare_screenshots(&mode)?;

        say(&format!(
            "{mode} mode over {format}, sessions: {sessions}, clicks in each: {}",
            self.clicks
        ));
        let progress = Progress::of_clicks(self.clicks, sessions);
        let start = Instant::now();
        let all = (0..sessions).map(|_| self.in_session(pool, &progress));
        Ok(Report::new(join_all(all).await, start.elapsed()))
    }

    fn prepare_screenshots(&self, mode: &str) -> Result<(), Failure> {
        let Some(directory) = &self.screenshots else {
            return Ok(());
        };
        if mode == RendererMode::Mock.to_string() {
            return Err(Failure::Usage(
                "there are no --screenshots in mock mode, which draws nothing; \
                 choose --mode headless or --mode windowed",
            ));
        }
        fs::create_dir_all(directory).map_err(|source| Failure::Write {
            path: directory.clone(),
            source,
        })
    }

    async fn in_session(&self, pool: &SessionPool, progress: &Progress) -> SessionReport {
        let start = Instant::now();
        let mut report = SessionReport::default();
        let outcome = self.count(pool, progress, &mut report).await;
        report.failure = outcome.err();
        report.time = start.elapsed();
        report
    }

    async fn count(
        &self,
        pool: &SessionPool,
        progress: &Progress,
        report: &mut SessionReport,
    ) -> Result<(), Failure> {
        let session = pool.register().await?;
        report.id = Some(session.id());
        let of_session = |renderer: &RendererStatus| renderer.pid == session.renderer_pid();
        report.renderer = pool.status().renderers.into_iter().find(of_session);

        let mut counter = Counter::new(&session);
        let counted = self.count_with(&mut counter, pool, progress).await;
        report.round_trips = counter.round_trips();
        let closed = session.unregister().await;
        counted?;
        Ok(closed?)
    }

    async fn count_with(
        &self,
        counter: &mut Counter<'_>,
        pool: &SessionPool,
        progress: &Progress,
    ) -> Result<(), Failure> {
        counter.show().await?;
        for _ in 0..self.clicks {
            counter.click().await?;
            progress.clicked();
        }
        counter.check_tree().await?;
        if let Some(directory) = &self.screenshots {
            if pool.status().mode == RendererMode::Windowed.to_string() {
                counter.drawn(pool.timeout()).await?;
            }
            let file = directory.join(format!("{}.png", counter.session()));
            counter.screenshot().await?.save(file)?;
        }
        Ok(())
    }
}
