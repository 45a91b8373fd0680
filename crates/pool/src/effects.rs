//! Effects that a session's renderer answers without the machine: with what the pool was told,
//! or from a clipboard of the session's own.
//!
//! Both are effect stubs of the renderer's, registered before the session's first message, so
//! that answers keep their order and shape, and go when the session does.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use futures::future::try_join_all;
use plushie_pool_core::link::{Answer, Submission};
use plushie_pool_core::{Class, Error, ErrorKind, Transport};
use serde::{Deserialize, Serialize};

use crate::clipboard::{Clipboard, Contents};
use crate::request::Frame;
use crate::session::Session;

/// An effect and what answers it.
#[derive(Clone)]
pub(crate) struct EffectStub {
    pub(crate) kind: String,
    pub(crate) response: Arc<dyn erased_serde::Serialize + Send + Sync>,
}

impl fmt::Debug for EffectStub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EffectStub")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Register<'a, T: ?Sized> {
    r#type: &'static str,
    kind: &'a str,
    response: &'a T,
}

fn register<'a, T: ?Sized>(kind: &'a str, response: &'a T) -> Register<'a, T> {
    Register {
        r#type: "register_effect_stub",
        kind,
        response,
    }
}

/// The `type` of what answers it.
const ACK: &str = "effect_stub_register_ack";

impl Session {
    /// Registers the effects that the pool answers, and waits until the renderer has taken them.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] if the renderer knows no effect of that name; or as
    /// [`request`](Self::request).
    pub(crate) async fn stub_effects(&mut self) -> Result<(), Error> {
        let config = &self.engine().config;
        let stubs = config.stubs.iter();
        try_join_all(stubs.map(|stub| self.stub(&stub.kind, &*stub.response))).await?;
        if config.private_clipboard {
            let stubbed = config.stubs.iter().map(|stub| stub.kind.clone());
            let clipboard = Clipboard::new(stubbed);
            let contents = clipboard.all();
            let contents = contents.iter();
            try_join_all(contents.map(|(kind, contents)| self.stub(kind, contents))).await?;
            // Only now: a stub that is registered through it is the owner's.
            self.clipboard = Some(Box::new(Mutex::new(clipboard)));
        }
        Ok(())
    }

    async fn stub<T: Serialize + ?Sized>(&self, kind: &str, response: &T) -> Result<(), Error> {
        #[derive(Deserialize)]
        struct Ack {
            status: String,
        }
        let ack = self.request(&register(kind, response), ACK).await?;
        let Ack { status } = ack.decode()?;
        if status == "registered" {
            return Ok(());
        }
        let message = format!("the renderer has no effect {kind:?}, for which a stub was given");
        Err(Error::new(ErrorKind::Config, message)
            .with_session(self.id)
            .with_hint(
                "effects are clipboard_read, clipboard_write, notification, file_open and their \
                 like",
            ))
    }

    /// What [`submitted`](Self::submitted) is to be told of, if this may be an effect on a
    /// clipboard of the session's own.
    pub(crate) fn may_write_clipboard(&self, frame: &Frame) -> Option<Bytes> {
        let may = self.clipboard.is_some() && frame.class == Class::Plain;
        may.then(|| frame.bytes.clone())
    }

    /// The message in this frame, of the pool's own format, has been submitted.
    pub(crate) fn submitted(&self, frame: &Bytes) {
        let transport = &*self.engine().config.transport;
        let mut frame = BytesMut::from(&**frame);
        if let Ok(Some(payload)) = transport.decoder().decode(&mut frame) {
            self.follow_clipboard(transport, &payload);
        }
    }

    /// Has reads of the session's own clipboard, if it has one, give what this message, which has
    /// been submitted, writes to it.
    pub(crate) fn follow_clipboard(&self, transport: &dyn Transport, payload: &[u8]) {
        let Some(clipboard) = &self.clipboard else {
            return;
        };
        // Held until they are submitted, so that those of two writes keep the order of these.
        let mut clipboard = lock(clipboard);
        for (kind, contents) in clipboard.after(transport, payload) {
            self.stub_unawaited(kind, &contents);
        }
    }

    /// Registers a stub behind what was submitted before. Its acknowledgement is not the owner's.
    fn stub_unawaited(&self, kind: &'static str, contents: &Contents) {
        let id = self.next_id();
        let answer = Answer::Reply {
            kind: ACK.into(),
            tag: Some(kind.into()),
        };
        let frame = self.frame(&register(kind, contents), None, |_| Ok(answer));
        let timeout = self.timeout();
        let submitted = frame.and_then(|frame| {
            let (completion, _) = self.renderer.completion();
            let submission = Submission {
                id,
                frame: frame.bytes,
                class: frame.class,
                answer: frame.answer,
                deadline: Instant::now() + timeout,
                timeout,
                completion,
            };
            self.renderer.submit(self.id, submission)
        });
        // The session is over, or the text is too large for a frame: the message before it was
        // told so in the first case, and was too large itself in the second.
        if let Err(error) = submitted {
            tracing::debug!(session = %self.id, %error, "the clipboard keeps what it had");
        }
    }
}

fn lock(clipboard: &Mutex<Clipboard>) -> std::sync::MutexGuard<'_, Clipboard> {
    clipboard.lock().unwrap_or_else(PoisonError::into_inner)
}
