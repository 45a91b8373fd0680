//! Which renderer serves a session, and how a session ends on it.

use std::fmt;

use crate::RendererId;

/// Decides which renderer serves a session, and how a session is closed on it. Sending,
/// requests, events and timeouts are the same code for every mode.
///
/// # The least an implementor writes
///
/// [`name`](Self::name), [`place`](Self::place) and [`close`](Self::close). The suite in
/// [`conformance`](crate::conformance) says whether an implementation is right.
///
/// The pool calls a mode under a lock and expects an answer at once. It has already seen to
/// it that no more than `max_sessions` sessions are open.
pub trait Mode: Send + fmt::Debug + 'static {
    /// The mode's name, for errors, logs and status: `mock`.
    fn name(&self) -> &str;

    /// Where the next session goes.
    ///
    /// `renderers` are those that take sessions, oldest first; one that is being launched is
    /// among them, and a session placed on it waits for it. To name a renderer that is not
    /// among them is taken as [`Placement::Launch`].
    fn place(&mut self, renderers: &[RendererView]) -> Placement;

    /// Where a session goes that was asked for like this. The pool calls this one for every
    /// session; unless it is overridden, it is [`place`](Self::place), whatever the request.
    ///
    /// A mode that uses the request overrides it, and may write `place` as
    /// `self.place_with(&SessionRequest::default(), renderers)`. The modes that come with the
    /// pool do not use it.
    fn place_with(&mut self, request: &SessionRequest, renderers: &[RendererView]) -> Placement {
        let _ = request;
        self.place(renderers)
    }

    /// How a session is closed on its renderer.
    fn close(&self) -> Close;

    /// The arguments a renderer of this mode is started with, besides those of the format.
    fn launch_args(&self, max_sessions: usize) -> Vec<String> {
        let _ = max_sessions;
        Vec::new()
    }

    /// How the renderer tells sessions apart.
    fn addressing(&self) -> Addressing {
        Addressing::BySession
    }

    /// How many renderers to have ready when the pool has started. With none, the first is
    /// launched for the first session.
    fn initial_renderers(&self) -> usize {
        1
    }

    /// Whether its renderers show windows, for which the pool then sees to a display.
    fn shows_windows(&self) -> bool {
        false
    }

    /// After how many sessions a renderer takes no new ones and ends with its last.
    ///
    /// The renderer never joins a session's thread: after some 32,700 sessions it dies.
    fn recycle_after(&self) -> Option<u64> {
        None
    }
}

/// How a session was asked for, as [`Mode::place_with`] sees it.
///
/// ```
/// use plushie_pool_core::SessionRequest;
///
/// assert_eq!(SessionRequest::from("editor").key.as_deref(), Some("editor"));
/// assert_eq!(SessionRequest::default().key, None);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionRequest {
    /// What the caller of `SessionPool::register_with` passed. Its meaning is the mode's: for
    /// example, that sessions with the same key share a renderer.
    pub key: Option<String>,
}

impl From<&str> for SessionRequest {
    fn from(key: &str) -> Self {
        key.to_owned().into()
    }
}

impl From<String> for SessionRequest {
    fn from(key: String) -> Self {
        Self { key: Some(key) }
    }
}

/// A renderer, as [`Mode::place`] sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RendererView {
    /// Its name.
    pub id: RendererId,
    /// The sessions it has now, those that are being opened or closed included.
    pub sessions: usize,
    /// The sessions it has had, those it has now included.
    pub served: u64,
}

impl RendererView {
    /// A view, for those who test a mode of their own.
    pub const fn new(id: RendererId, sessions: usize, served: u64) -> Self {
        Self {
            id,
            sessions,
            served,
        }
    }
}

/// Where a session goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// On this renderer.
    On(RendererId),
    /// On a new one.
    Launch,
}

/// How a renderer tells sessions apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    /// By the `session` of each message, in both directions.
    BySession,
    /// It has one session only. It leaves `session` empty in what it sends, whatever it was
    /// sent; the pool puts it back.
    Single,
}

/// How a session is closed on its renderer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// `reset`; the renderer lives on. Either `reset_response` or `session_closed` confirms
    /// it, since a congested renderer drops the second.
    Reset,
    /// The renderer ends with the session: `widget_op` `exit`, then its input is closed, then
    /// it is ended by force. The end of the process confirms it.
    Exit,
}
