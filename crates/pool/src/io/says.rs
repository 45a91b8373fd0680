//! What the bridge says to a client in the renderer's place, in the renderer's words.

use serde::Serialize;

/// The end of a connection, and why.
#[derive(Serialize)]
pub(super) struct Fatal<'a> {
    r#type: &'static str,
    message: &'a str,
}

pub(super) fn fatal(message: &str) -> Fatal<'_> {
    Fatal {
        r#type: "error",
        message,
    }
}

/// A session was reset. The header brings the id.
#[derive(Serialize)]
pub(super) struct ResetResponse {
    r#type: &'static str,
    status: &'static str,
}

pub(super) fn reset_response() -> ResetResponse {
    ResetResponse {
        r#type: "reset_response",
        status: "ok",
    }
}

#[derive(Serialize)]
pub(super) struct Event<T> {
    r#type: &'static str,
    family: &'static str,
    id: &'static str,
    data: T,
}

#[derive(Serialize)]
pub(super) struct Nothing {}

pub(super) fn session_closed() -> Event<Nothing> {
    event("session_closed", Nothing {})
}

#[derive(Serialize)]
pub(super) struct Complaint<'a> {
    code: &'a str,
    error: &'a str,
}

pub(super) fn session_error<'a>(code: &'a Code, error: &'a str) -> Event<Complaint<'a>> {
    let code = code.text();
    event("session_error", Complaint { code, error })
}

/// Why a session ends, as `code` of a `session_error`: one of those that renderer 0.7.1 says
/// (`headless.rs`, `emitters.rs` of its source), since a client may know no other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Code {
    /// There is no room for another session.
    MaxSessions,
    /// The session was reset, and is not closed yet.
    ResetInProgress,
    /// The session was sent more than there is room for.
    Overflow,
    /// The session waited for a tree that was not sent.
    HostDisconnect,
    /// The renderer ended, or cannot be started.
    RendererPanic,
    /// What a renderer said.
    Renderers(Box<str>),
}

impl Code {
    /// What a renderer said.
    pub(super) fn of(code: &str) -> Self {
        Self::Renderers(code.into())
    }

    pub(super) fn text(&self) -> &str {
        match self {
            Self::MaxSessions => "max_sessions_reached",
            Self::ResetInProgress => "session_reset_in_progress",
            Self::Overflow => "session_backpressure_overflow",
            Self::HostDisconnect => "host_disconnect",
            Self::RendererPanic => "renderer_panic",
            Self::Renderers(code) => code,
        }
    }
}

fn event<T>(family: &'static str, data: T) -> Event<T> {
    Event {
        r#type: "event",
        family,
        id: "",
        data,
    }
}

/// Something that no client acts on, and that shows each that somebody is there: the end of an
/// interact that it never began, in which nothing happened.
#[derive(Serialize)]
pub(super) struct SignOfLife {
    r#type: &'static str,
    events: [(); 0],
}

pub(super) fn sign_of_life() -> SignOfLife {
    SignOfLife {
        r#type: "interact_response",
        events: [],
    }
}

/// A tree that is the one before.
#[derive(Serialize)]
pub(super) struct NoChange {
    r#type: &'static str,
    ops: [(); 0],
}

pub(super) fn no_change() -> NoChange {
    NoChange {
        r#type: "patch",
        ops: [],
    }
}

/// What a request looks like whose answer shows that all before it were carried out.
#[derive(Serialize)]
pub(super) struct Barrier {
    r#type: &'static str,
    target: &'static str,
    selector: Nothing,
}

pub(super) fn barrier() -> Barrier {
    Barrier {
        r#type: "query",
        target: "find",
        selector: Nothing {},
    }
}

/// How the whole pool does.
#[derive(Serialize)]
pub(super) struct PoolStatus<'a> {
    r#type: &'static str,
    status: &'a dyn erased_serde::Serialize,
}

pub(super) fn pool_status(status: &dyn erased_serde::Serialize) -> PoolStatus<'_> {
    PoolStatus {
        r#type: "pool_status_response",
        status,
    }
}
