//! A plushie app, and a test that clicks its button and types into it.
//!
//! ```sh
//! cargo run -p plushie-pool-app --example counter
//! PLUSHIE_TEST_BACKEND=headless cargo run -p plushie-pool-app --example counter
//! ```

#![allow(clippy::unwrap_used)] // as in a test

use plushie::prelude::*;
use plushie_pool::SessionPool;
use plushie_pool_app::AppSession;
use serde_json::{Value, json};

/// The app: it knows nothing of being tested.
#[derive(Default)]
struct Greeter {
    count: u32,
    name: String,
}

impl App for Greeter {
    type Model = Self;

    fn init() -> (Self, Command) {
        (Self::default(), Command::none())
    }

    fn update(model: &mut Self, event: Event) -> Command {
        match event.widget_match() {
            Some(Click("increment")) => model.count += 1,
            Some(Input("name", typed)) => typed.clone_into(&mut model.name),
            _ => {}
        }
        Command::none()
    }

    fn view(model: &Self, _: &mut WidgetRegistrar) -> ViewList {
        let count = text(&model.count.to_string()).id("count");
        window("main")
            .child(column().children([
                View::from(text_input("name", &model.name)),
                button("increment", "+").into(),
                count.into(),
            ]))
            .into()
    }
}

async fn it_counts_and_greets() -> Result<(), plushie_pool::Error> {
    // A test has one pool for all its cases, and names no renderer: see `SessionPool::shared`.
    let renderer = std::env::current_exe().unwrap();
    let pool = SessionPool::builder().with_env().renderer(renderer);
    let pool = pool.start().await?;
    let app = AppSession::start::<Greeter>(&pool).await?;

    let click = json!({
        "type": "interact", "action": "click", "selector": {"by": "id", "value": "increment"},
    });
    app.interact(&click).await?;
    app.interact(&click).await?;
    assert_eq!(shown(&app, "count").await?["content"], "2");

    // The field has to have the focus; then each letter is a step.
    let hover = json!({
        "type": "interact", "action": "move_to", "selector": {}, "payload": {"x": 5, "y": 5},
    });
    let press = json!({"type": "interact", "action": "click", "selector": {}});
    let typing = json!({
        "type": "interact", "action": "type_text", "payload": {"text": "Grete"},
        "selector": {"by": "id", "value": "name"},
    });
    for action in [hover, press, typing] {
        app.interact(&action).await?;
    }
    assert_eq!(shown(&app, "name").await?["value"], "Grete");

    println!("{}: the count is 2, the name is Grete", pool.status().mode);
    app.close().await?;
    pool.shutdown().await
}

async fn shown(app: &AppSession, id: &str) -> Result<Value, plushie_pool::Error> {
    let find = json!({"type": "query", "target": "find", "selector": {"by": "id", "value": id}});
    let found = app.control().request(&find, "query_response").await?;
    Ok(found.decode::<Value>()?["data"]["props"].clone())
}

fn main() {
    // The renderer it starts is itself.
    if std::env::args().any(|arg| arg == "--max-sessions") {
        let app = plushie_widget_sdk::app::PlushieAppBuilder::new();
        return plushie_renderer::run(app).unwrap();
    }
    futures::executor::block_on(it_counts_and_greets()).unwrap();
}
