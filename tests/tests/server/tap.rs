//! Seeing all that a renderer is sent.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use plushie_pool::{ChildProcess, Connection, Connector, Error, Launch};
use tokio::io::AsyncWrite;

/// The real renderer, and a copy of all that it is sent.
#[derive(Debug)]
pub(crate) struct Tapped {
    renderer: ChildProcess,
    pub(crate) copy: Copy,
}

pub(crate) type Copy = Arc<Mutex<Vec<u8>>>;

impl Tapped {
    pub(crate) fn new() -> Self {
        let renderer = env!("CARGO_BIN_EXE_plushie-pool-test-renderer");
        Self {
            renderer: ChildProcess::new(renderer),
            copy: Copy::default(),
        }
    }
}

#[async_trait]
impl Connector for Tapped {
    fn describe(&self) -> String {
        self.renderer.describe()
    }

    async fn connect(&self, launch: &Launch) -> Result<Connection, Error> {
        let mut connection = self.renderer.connect(launch).await?;
        connection.writer = Box::new(Tap {
            writer: connection.writer,
            copy: self.copy.clone(),
        });
        Ok(connection)
    }
}

struct Tap {
    writer: Box<dyn AsyncWrite + Send + Unpin>,
    copy: Copy,
}

impl AsyncWrite for Tap {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.writer).poll_write(context, bytes))?;
        self.copy
            .lock()
            .unwrap()
            .extend_from_slice(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_shutdown(context)
    }
}
