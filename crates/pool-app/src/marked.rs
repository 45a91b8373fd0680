//! The app, with something around it that returns marks.

use std::marker::PhantomData;

use plushie::App;
use plushie::prelude::*;
use plushie::settings::{ExitReason, RestartPolicy, Settings, WindowConfig};
use serde_json::Value;

/// What the ids of marks begin with.
pub(crate) const MARK: &str = "~plushie-pool-mark-";

/// `A`, but for marks, which come as answers to an effect and go back as commands.
pub(crate) struct Marked<A>(PhantomData<fn() -> A>);

impl<A: App> App for Marked<A> {
    type Model = A::Model;

    fn init() -> (Self::Model, Command) {
        A::init()
    }

    fn update(model: &mut Self::Model, event: Event) -> Command {
        match event {
            Event::Effect(effect) if effect.tag.starts_with(MARK) => {
                Command::send(&effect.tag, MARK, Value::Null)
            }
            event => A::update(model, event),
        }
    }

    fn view(model: &Self::Model, widgets: &mut WidgetRegistrar) -> ViewList {
        A::view(model, widgets)
    }

    fn subscribe(model: &Self::Model) -> Vec<Subscription> {
        A::subscribe(model)
    }

    fn settings() -> Settings {
        A::settings()
    }

    fn window_config(model: &Self::Model) -> WindowConfig {
        A::window_config(model)
    }

    fn handle_renderer_exit(model: &mut Self::Model, reason: ExitReason) {
        A::handle_renderer_exit(model, reason);
    }

    fn restart_policy() -> RestartPolicy {
        A::restart_policy()
    }
}
