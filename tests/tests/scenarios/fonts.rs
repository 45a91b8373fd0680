//! Fonts, of which a renderer loads 256 in its life.

use std::collections::BTreeSet;

use futures::future::join_all;
use plushie_pool::{Binary, RendererMode, Session, SessionEvent, SessionPool, WireFormat};
use plushie_pool_tests::client::Client;
use plushie_pool_tests::font;
use plushie_pool_tests::wire::Format;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{find, in_both_formats, pool, snapshot, until, within};

in_both_formats! {
    each_session_has_the_font_of_its_own_settings_however_many_there_were
    each_session_has_the_font_it_loads_however_many_there_were
    a_font_of_the_pools_settings_is_there_for_every_session
    each_app_has_the_font_of_its_settings_however_many_there_were
    a_renderer_that_refused_a_font_gets_no_more_sessions
}

/// More than a renderer loads fonts.
const SESSIONS: usize = 300;

async fn headless(format: WireFormat) -> SessionPool {
    let pool = pool(RendererMode::Headless, format);
    within(pool.start()).await.unwrap()
}

/// Some letters in a font of this family.
fn letters(family: &str) -> Value {
    let letters = json!({
        "id": "letters", "type": "text",
        "props": {"content": "xxx", "font": {"family": family}}, "children": [],
    });
    snapshot(&json!({"id": "main", "type": "window", "props": {}, "children": [letters]}))
}

fn screenshot() -> Value {
    json!({"type": "screenshot", "name": "letters", "width": 80, "height": 40})
}

/// What they look like.
async fn picture(session: &Session, family: &str) -> String {
    session.send(&letters(family)).await.unwrap();
    let taken = within(session.request(&screenshot(), "screenshot_response")).await;
    #[derive(Deserialize)]
    struct Picture {
        hash: String,
    }
    taken.unwrap().decode::<Picture>().unwrap().hash
}

/// What they look like if there is no such font.
async fn fallback(pool: &SessionPool) -> String {
    let session = within(pool.register()).await.unwrap();
    picture(&session, "No Such Font").await
}

async fn each_session_has_the_font_of_its_own_settings_however_many_there_were(format: WireFormat) {
    let folder = TempDir::new().unwrap();
    let pool = headless(format).await;
    let without = fallback(&pool).await;
    let mut seen = BTreeSet::new();
    for n in 0..SESSIONS {
        let family = format!("Block {n}");
        let path = folder.path().join(&family);
        std::fs::write(&path, font::block(&family)).unwrap();
        let session = within(pool.register()).await.unwrap();
        let settings = json!({"type": "settings", "settings": {"fonts": [path]}});
        session.send(&settings).await.unwrap();
        seen.insert(picture(&session, &family).await);
        within(session.unregister()).await.unwrap();
        assert_eq!(seen.len(), 1, "session {n} looks otherwise");
    }
    assert!(!seen.contains(&without), "none has its font");
    assert_eq!((pool.status().launches, pool.status().deaths), (2, 0));
}

#[derive(Serialize)]
struct LoadFont<'a> {
    r#type: &'static str,
    payload: Payload<'a>,
}

#[derive(Serialize)]
struct Payload<'a> {
    family: &'a str,
    data: Binary,
}

fn load(family: &str) -> LoadFont<'_> {
    let data = Binary::from(font::block(family));
    LoadFont {
        r#type: "load_font",
        payload: Payload { family, data },
    }
}

async fn each_session_has_the_font_it_loads_however_many_there_were(format: WireFormat) {
    let pool = headless(format).await;
    let without = fallback(&pool).await;
    let mut seen = BTreeSet::new();
    for round in 0..SESSIONS / 6 {
        let sessions = within(join_all((0..6).map(|_| pool.register()))).await;
        let pictures = sessions.into_iter().enumerate().map(async |(n, session)| {
            let session = session.unwrap();
            let family = format!("Loaded {round} {n}");
            session.send(&load(&family)).await.unwrap();
            let picture = picture(&session, &family).await;
            session.unregister().await.unwrap();
            picture
        });
        seen.extend(within(join_all(pictures)).await);
        assert_eq!(seen.len(), 1, "one of round {round} looks otherwise");
    }
    assert!(!seen.contains(&without), "none has its font");
}

async fn a_font_of_the_pools_settings_is_there_for_every_session(format: WireFormat) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("font");
    std::fs::write(&path, font::block("Everywhere")).unwrap();
    let builder = pool(RendererMode::Headless, format).settings(json!({"fonts": [path]}));
    let pool = within(builder.start()).await.unwrap();
    let without = fallback(&pool).await;
    let mut seen = BTreeSet::new();
    for n in 0..SESSIONS {
        let session = within(pool.register()).await.unwrap();
        // That of the pool, and one more that its room must be left for.
        let own = format!("Own {n}");
        session.send(&load(&own)).await.unwrap();
        if n % 50 == 0 || n + 1 == SESSIONS {
            seen.insert(picture(&session, "Everywhere").await);
            seen.insert(picture(&session, &own).await);
        }
        within(session.unregister()).await.unwrap();
    }
    assert_eq!(seen.len(), 1, "they do not look the same");
    assert!(!seen.contains(&without), "none has its font");
    // 600 fonts, a quarter of the room being kept for those that come by messages.
    assert_eq!((pool.status().launches, pool.status().deaths), (4, 0));
}

async fn each_app_has_the_font_of_its_settings_however_many_there_were(format: WireFormat) {
    let folder = TempDir::new().unwrap();
    let pool = headless(format).await;
    let without = fallback(&pool).await;
    let mut seen = BTreeSet::new();
    for n in 0..SESSIONS {
        let family = format!("App {n}");
        let path = folder.path().join(&family);
        std::fs::write(&path, font::block(&family)).unwrap();
        let (stream, _control) = within(pool.register()).await.unwrap().into_io();
        let settings = json!({"fonts": [path]});
        let admitted = Client::admitted(stream, Format::Json, settings);
        let (mut app, _) = within(admitted).await;
        app.tell("", &letters(&family)).await;
        let taken = within(app.ask("", &screenshot())).await;
        seen.insert(taken["hash"].as_str().unwrap().to_owned());
        assert_eq!(seen.len(), 1, "app {n} looks otherwise");
    }
    assert!(!seen.contains(&without), "none has its font");
    assert_eq!(pool.status().launches, 2);
}

async fn a_renderer_that_refused_a_font_gets_no_more_sessions(format: WireFormat) {
    let pool = headless(format).await;
    let greedy = within(pool.register()).await.unwrap();
    let worn = greedy.renderer_pid();
    for n in 0..=256 {
        greedy.send(&load(&format!("Greedy {n}"))).await.unwrap();
    }
    let event = within(greedy.next_event()).await;
    let Some(SessionEvent::Event(event)) = event else {
        panic!("{event:?}");
    };
    let event: Value = event.decode().unwrap();
    assert_eq!(event["family"], "session_error", "{event}");
    // It goes on without.
    within(greedy.request(&find("x"), "query_response"))
        .await
        .unwrap();
    let next = within(pool.register()).await.unwrap();
    assert_ne!(next.renderer_pid(), worn);
    next.send(&load("Next")).await.unwrap();
    let without = picture(&next, "No Such Font").await;
    assert_ne!(picture(&next, "Next").await, without);
    drop(greedy);
    until("it has ended", || pool.status().renderers.len() == 1).await;
}
