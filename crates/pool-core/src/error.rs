//! What can go wrong, who caused it, and how it reads in a failed build's log.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{RequestId, SessionId};

/// What went wrong, with the context a person needs to act on it.
///
/// Cheap to clone: when a renderer dies, each of its requests gets the same account of it.
#[derive(Clone, thiserror::Error)]
#[error("{0}")]
pub struct Error(Box<Report>);

/// The kinds of error a program can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The pool was described in a way it cannot be built.
    Config,
    /// A message was refused before anything was sent: it is not a map, has no `type`, or
    /// brings a key that the pool fills in.
    InvalidMessage,
    /// A message cannot be written in the wire format, or is over its bounds.
    Encode,
    /// A message from the renderer cannot be read into the type asked for.
    Decode,
    /// Every session of the pool is in use.
    PoolFull,
    /// The pool was shut down.
    PoolClosed,
    /// The session was closed.
    SessionClosed,
    /// No renderer was found where one was looked for.
    RendererNotFound,
    /// There is no display to show windows on, or the pool's own could not be started or died.
    Display,
    /// The renderer could not be started, or not be connected to.
    Launch,
    /// What was started did not say what a renderer says first.
    Handshake,
    /// The renderer is gone: it exited, was killed, or its connection broke.
    RendererExited,
    /// The renderer's output can no longer be cut into messages.
    Framing,
    /// The renderer gave up this session (`session_error`).
    SessionFailed,
    /// The reply to a request has another type than the one expected.
    UnexpectedReply,
    /// The renderer could not read a request, and dropped it: its `type` is unknown, or a field is
    /// missing or of another type.
    MessageDropped,
    /// The reply to a request is longer than the pool keeps, 64 MiB, and was passed over.
    ReplyTooLarge,
    /// A bound on time was reached in this phase.
    Timeout(Phase),
    /// Renderers died too often within the time of the
    /// [`RestartPolicy`](crate::RestartPolicy): the pool starts the next one later than the
    /// caller may wait, or never if the policy says so.
    RestartsExhausted,
}

/// What was being waited for when time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// A free session.
    Acquire,
    /// The process, or the connection.
    Launch,
    /// The renderer's first message, or its first answer.
    Handshake,
    /// Its turn to be sent: behind an interact, or for want of credit.
    Send,
    /// The reply to a request.
    Reply,
    /// The tree that an `interact_step` asks its owner for.
    Step,
    /// The renderer's word that a session ended.
    Close,
}

/// Who can do something about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The code that called the pool.
    Caller,
    /// The renderer.
    Renderer,
    /// The pool itself.
    Pool,
}

/// How a renderer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Exit {
    /// The process ended with this code.
    Code(i32),
    /// A signal ended the process.
    Signal(i32),
    /// The connection was closed; there is no process of ours behind it.
    Disconnected,
    /// The process did not say, or its status could not be read.
    Unknown,
}

#[derive(Clone)]
struct Report {
    kind: ErrorKind,
    message: Arc<str>,
    hint: Option<Arc<str>>,
    session: Option<SessionId>,
    request: Option<RequestId>,
    exit: Option<Exit>,
    stderr: Option<Arc<str>>,
    code: Option<Arc<str>>,
}

/// How much of a message is kept, in bytes.
const LONGEST: usize = 1_000;

impl Error {
    /// An error of `kind`; `message` says what happened, in a clause without a full stop. More
    /// than 1,000 bytes of it are cut: a parser may quote a whole screenshot.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if message.len() > LONGEST {
            message.truncate(message.floor_char_boundary(LONGEST));
            message.push_str("...");
        }
        Self(Box::new(Report {
            kind,
            message: message.into(),
            hint: None,
            session: None,
            request: None,
            exit: None,
            stderr: None,
            code: None,
        }))
    }

    /// Time ran out in `phase` after `waited`.
    pub fn timeout(phase: Phase, waited: Duration) -> Self {
        Self::new(
            ErrorKind::Timeout(phase),
            format!("no {phase} within {waited:?}"),
        )
    }

    /// Puts what it is about in front of what happened.
    #[must_use]
    pub fn about(mut self, what: &str) -> Self {
        self.0.message = format!("{what}: {}", self.0.message).into();
        self
    }

    /// Adds what the reader should do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into().into());
        self
    }

    /// Adds the session it happened to.
    #[must_use]
    pub fn with_session(mut self, session: SessionId) -> Self {
        self.0.session = Some(session);
        self
    }

    /// Adds the request it happened to.
    #[must_use]
    pub fn with_request(mut self, request: RequestId) -> Self {
        self.0.request = Some(request);
        self
    }

    /// Takes away the session and the request it happened to, for a reader who calls them
    /// otherwise.
    #[must_use]
    pub fn without_address(mut self) -> Self {
        self.0.session = None;
        self.0.request = None;
        self
    }

    /// Adds how the renderer ended.
    #[must_use]
    pub fn with_exit(mut self, exit: Exit) -> Self {
        self.0.exit = Some(exit);
        self
    }

    /// Adds the last lines the renderer wrote to its standard error; nothing if empty.
    #[must_use]
    pub fn with_stderr(mut self, tail: &str) -> Self {
        self.0.stderr = (!tail.trim().is_empty()).then(|| tail.trim_end().into());
        self
    }

    /// Adds the renderer's own code for it, as `session_error` carries one.
    #[must_use]
    pub fn with_code(mut self, code: &str) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// What kind of error it is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Who can do something about it.
    pub fn origin(&self) -> Origin {
        use ErrorKind::{
            Config, Decode, Display, Encode, Framing, Handshake, InvalidMessage, Launch,
            MessageDropped, PoolClosed, PoolFull, RendererExited, RendererNotFound, ReplyTooLarge,
            RestartsExhausted, SessionClosed, SessionFailed, Timeout, UnexpectedReply,
        };
        match self.0.kind {
            Config | InvalidMessage | Encode | Decode | RendererNotFound | Display | PoolClosed
            | SessionClosed | UnexpectedReply | ReplyTooLarge | MessageDropped => Origin::Caller,
            Timeout(Phase::Step) => Origin::Caller,
            PoolFull | Timeout(Phase::Acquire | Phase::Send) => Origin::Pool,
            Launch | Handshake | RendererExited | Framing | SessionFailed | RestartsExhausted
            | Timeout(_) => Origin::Renderer,
        }
    }

    /// The session it happened to.
    pub fn session(&self) -> Option<SessionId> {
        self.0.session
    }

    /// The request it happened to.
    pub fn request(&self) -> Option<RequestId> {
        self.0.request
    }

    /// What was being waited for, if time ran out.
    pub fn phase(&self) -> Option<Phase> {
        match self.0.kind {
            ErrorKind::Timeout(phase) => Some(phase),
            _ => None,
        }
    }

    /// How the renderer ended, if it did.
    pub fn exit(&self) -> Option<Exit> {
        self.0.exit
    }

    /// The last lines the renderer wrote to its standard error.
    pub fn stderr(&self) -> Option<&str> {
        self.0.stderr.as_deref()
    }

    /// The renderer's own code, such as `max_sessions_reached`.
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }
}

/// As written for people, since this is what `unwrap` shows them.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.session, self.request) {
            (Some(session), Some(request)) => write!(f, "session {session}, request {request}: ")?,
            (Some(session), None) => write!(f, "session {session}: ")?,
            _ => {}
        }
        f.write_str(&self.message)?;
        if let Some(exit) = self.exit {
            write!(f, " ({exit})")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        if let Some(stderr) = &self.stderr {
            let whose = match self.kind {
                // A display server's, or a renderer's that died with it.
                ErrorKind::Display => "",
                _ => "the renderer's ",
            };
            write!(f, "\nlast lines of {whose}stderr:")?;
            for line in stderr.lines() {
                write!(f, "\n  {line}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Acquire => "free session",
            Self::Launch => "running renderer",
            Self::Handshake => "hello from the renderer",
            Self::Send => "chance to send",
            Self::Reply => "reply",
            Self::Step => "tree in answer to an interact_step",
            Self::Close => "confirmation that the session closed",
        })
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match signal_name(signal) {
                Some(name) => write!(f, "killed by signal {signal}, {name}"),
                None => write!(f, "killed by signal {signal}"),
            },
            Self::Disconnected => f.write_str("connection closed"),
            Self::Unknown => f.write_str("exit status unknown"),
        }
    }
}

/// The signals whose numbers are the same on every Unix and that end processes in practice.
fn signal_name(signal: i32) -> Option<&'static str> {
    Some(match signal {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        6 => "SIGABRT",
        8 => "SIGFPE",
        9 => "SIGKILL",
        11 => "SIGSEGV",
        13 => "SIGPIPE",
        15 => "SIGTERM",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_renderer_reads_as_what_happened_and_what_it_said() {
        let error = Error::new(ErrorKind::RendererExited, "the renderer is gone")
            .with_session(SessionId::new(3))
            .with_request(RequestId::new(7))
            .with_exit(Exit::Signal(9))
            .with_stderr("warning: a\nfatal: b\n");
        assert_eq!(
            error.to_string(),
            "session s3, request ~7: the renderer is gone (killed by signal 9, SIGKILL)\n\
             last lines of the renderer's stderr:\n  warning: a\n  fatal: b"
        );
        assert_eq!(error.origin(), Origin::Renderer);
    }

    #[test]
    fn what_a_parser_quotes_does_not_flood_the_log() {
        let error = Error::new(ErrorKind::Decode, "\u{e9}".repeat(100_000));
        assert!(error.to_string().len() < 1_010);
    }

    #[test]
    fn a_silent_stderr_is_not_mentioned() {
        let error = Error::new(ErrorKind::RendererExited, "gone").with_stderr(" \n");
        assert_eq!(error.stderr(), None);
        assert_eq!(error.to_string(), "gone");
    }
}
