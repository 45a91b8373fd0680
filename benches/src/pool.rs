//! The same work through the pool, by those who call it in one way or another.

use std::sync::Arc;
use std::thread;

use plushie_pool::blocking::Wait;
use plushie_pool::{Error, RendererMode, Session, SessionEvent, SessionPool};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::args::{CallerArg, ModeArg};
use crate::callers::{Failure, Program};
use crate::workload::{BURST, Bare, Patch, Query, Screenshot, Snapshot, Trigger, Work};

pub(crate) struct Pooled {
    pub(crate) pool: SessionPool,
    /// `None` if threads wait.
    runtime: Option<Runtime>,
    sessions: Vec<Arc<Session>>,
}

impl Pooled {
    pub(crate) fn start(program: &Program, kind: CallerArg) -> Result<Self, Failure> {
        let runtime = match kind {
            CallerArg::Current => Some(Builder::new_current_thread().enable_all().build()?),
            CallerArg::Multi => Some(
                Builder::new_multi_thread()
                    .worker_threads(2)
                    .enable_all()
                    .build()?,
            ),
            CallerArg::Blocking => None,
        };
        Ok(Self {
            pool: start(program)?,
            runtime,
            sessions: Vec::new(),
        })
    }

    pub(crate) fn prepare(&mut self, work: Work) -> Result<(), Failure> {
        let tree = Snapshot::new(20);
        while self.sessions.len() < work.sessions() && work.keeps_sessions() {
            let session = self.pool.register().wait()?;
            session.send(&Bare(&tree)).wait()?;
            session.request(&Bare(&Query), "query_response").wait()?;
            self.sessions.push(Arc::new(session));
        }
        Ok(())
    }

    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        for session in self.sessions.drain(..) {
            session.unregister().wait()?;
        }
        Ok(())
    }

    pub(crate) fn run(&mut self, work: Work, operations: usize) -> Result<(), Failure> {
        let workers = work.sessions() * work.in_flight();
        let each = operations / workers;
        let jobs = (0..workers).map(|n| Job {
            work,
            operations: each,
            pool: self.pool.clone(),
            session: self.sessions.get(n % work.sessions()).cloned(),
        });
        let Some(runtime) = &self.runtime else {
            return Ok(in_threads(jobs)?);
        };
        runtime.block_on(async {
            let mut tasks: JoinSet<_> = jobs.map(Job::run).collect();
            while let Some(done) = tasks.join_next().await {
                done??;
            }
            Ok(())
        })
    }

    pub(crate) fn renderer(&self) -> Option<u32> {
        match &*self.pool.status().renderers {
            [one] => one.pid,
            _ => None,
        }
    }
}

pub(crate) fn start(program: &Program) -> Result<SessionPool, Error> {
    SessionPool::builder()
        .renderer(&program.path)
        .renderer_args([program.role()])
        .mode(match program.mode {
            ModeArg::Mock => RendererMode::Mock,
            ModeArg::Headless => RendererMode::Headless,
        })
        .format(program.format.of_the_pool())
        .max_sessions(program.max_sessions)
        .start()
        .wait()
}

fn in_threads(jobs: impl Iterator<Item = Job>) -> Result<(), Error> {
    let mut jobs: Vec<_> = jobs.collect();
    let own = jobs.pop();
    thread::scope(|scope| {
        let threads: Vec<_> = jobs
            .into_iter()
            .map(|job| scope.spawn(|| job.run().wait()))
            .collect();
        let own = own.map_or(Ok(()), |job| job.run().wait());
        threads
            .into_iter()
            .map(|thread| thread.join().expect("a job does not panic"))
            .fold(own, Result::and)
    })
}

/// One worker's share.
struct Job {
    work: Work,
    operations: usize,
    pool: SessionPool,
    session: Option<Arc<Session>>,
}

impl Job {
    async fn run(self) -> Result<(), Error> {
        let Some(session) = self.session else {
            return lives(&self.pool, self.operations).await;
        };
        match self.work {
            Work::Query { .. } | Work::Life { .. } => {
                for _ in 0..self.operations {
                    session.request(&Bare(&Query), "query_response").await?;
                }
            }
            Work::Snapshot { nodes } => {
                let tree = Snapshot::new(nodes);
                for _ in 0..self.operations {
                    session.send(&Bare(&tree)).await?;
                    session.request(&Bare(&Query), "query_response").await?;
                }
            }
            Work::Patches => {
                for _ in 0..self.operations / BURST {
                    for _ in 0..BURST {
                        session.send(&Bare(&Patch)).await?;
                    }
                    session.request(&Bare(&Query), "query_response").await?;
                }
            }
            Work::Events => {
                for _ in 0..self.operations / BURST {
                    for _ in 0..BURST {
                        session.send(&Bare(&Trigger)).await?;
                    }
                    for _ in 0..BURST {
                        match session.next_event().await {
                            Some(SessionEvent::Message(_)) => {}
                            other => panic!("another event than was asked for: {other:?}"),
                        }
                    }
                }
            }
            Work::Screenshot => {
                for _ in 0..self.operations {
                    let reply = session.request(&Bare(&Screenshot), "screenshot_response");
                    reply.await?;
                }
            }
        }
        Ok(())
    }
}

async fn lives(pool: &SessionPool, operations: usize) -> Result<(), Error> {
    let tree = Snapshot::new(20);
    for _ in 0..operations {
        let session = pool.register().await?;
        session.send(&Bare(&tree)).await?;
        session.request(&Bare(&Query), "query_response").await?;
        session.unregister().await?;
    }
    Ok(())
}
