//! What is known of an app from the order of what it says.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use plushie_pool::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use crate::marked::MARK;

/// A message, as a line of JSON with its end.
pub(crate) type Line = Vec<u8>;

/// The marks that are out, and the trees that came since.
#[derive(Default)]
pub(crate) struct Steps {
    next: u64,
    /// In the order in which they come back.
    out: VecDeque<(u64, Mark)>,
    /// The interacts that run.
    interacts: usize,
    /// What the app showed meanwhile, which nothing may answer but a step it comes after: the
    /// renderer would take for an answer whatever tree it gets.
    trees: Vec<Line>,
}

enum Mark {
    /// Behind a step's events.
    Step,
    Settle(Settle),
}

/// Somebody who wants to know when the app has reacted.
pub(crate) struct Settle {
    pub(crate) done: oneshot::Sender<Result<(), Error>>,
    pub(crate) what: What,
    pub(crate) deadline: Instant,
    pub(crate) patience: Duration,
}

/// What follows once the app has reacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    Nothing,
    /// An interact begins.
    Begins,
    /// It has ended.
    Ends,
}

/// What an app said.
pub(crate) enum Said {
    /// It is for the renderer.
    Message(Line),
    /// It is kept until a step or the interact is over.
    Kept,
    /// A step is over, and this answers it.
    Answer(Line),
    /// All that happened before somebody asked is done, once these are passed on.
    Settled(Vec<Line>, Settle),
    /// Nobody waits for it any more.
    Nothing,
}

#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    r#type: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<std::borrow::Cow<'a, str>>,
}

impl Steps {
    /// What the app is told is this, and then what it is to return, if anything.
    pub(crate) fn tell(&mut self, line: &[u8]) -> Option<Line> {
        let is_step = outline(line).is_some_and(|outline| outline.r#type == "interact_step");
        is_step.then(|| self.mark(Mark::Step))
    }

    /// What the app is to return once it has reacted to all that it was told.
    pub(crate) fn settle(&mut self, settle: Settle) -> Line {
        self.mark(Mark::Settle(settle))
    }

    pub(crate) fn hear(&mut self, line: Line) -> Said {
        let Some(outline) = outline(&line) else {
            return Said::Message(line);
        };
        let mark = outline.id.as_deref().and_then(|id| id.strip_prefix(MARK));
        match (&*outline.r#type, mark) {
            ("command", Some(mark)) => {
                let mark = mark.parse().ok();
                self.returned(mark)
            }
            ("patch" | "snapshot", _) if self.interacts > 0 || self.in_step() => {
                self.trees.push(line);
                Said::Kept
            }
            _ => Said::Message(line),
        }
    }

    /// When the first gives up who waits for the app.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let waiting = self.out.iter().filter_map(|(_, mark)| match mark {
            Mark::Settle(settle) if !settle.done.is_closed() => Some(settle.deadline),
            _ => None,
        });
        waiting.min()
    }

    /// Tells those whose time is over.
    pub(crate) fn expire(&mut self, now: Instant) {
        let out = std::mem::take(&mut self.out);
        for (number, mark) in out {
            match mark {
                Mark::Settle(settle) if settle.deadline <= now => {
                    self.turn(settle.what);
                    settle.give_up();
                }
                mark => self.out.push_back((number, mark)),
            }
        }
    }

    fn mark(&mut self, mark: Mark) -> Line {
        let number = self.next;
        self.next += 1;
        self.out.push_back((number, mark));
        // The runtime has no such effect, and so makes an event of it and nothing else.
        format!(
            "{{\"type\":\"effect_response\",\"session\":\"\",\"id\":\"{MARK}{number}\",\
             \"status\":\"ok\"}}\n"
        )
        .into_bytes()
    }

    fn returned(&mut self, number: Option<u64>) -> Said {
        // Those before it were given up.
        let Some(at) = self.out.iter().position(|(out, _)| Some(*out) == number) else {
            return Said::Nothing;
        };
        match self.out.remove(at) {
            Some((_, Mark::Step)) => Said::Answer(first(&mut self.trees)),
            Some((_, Mark::Settle(settle))) => {
                self.turn(settle.what);
                let trees = match self.interacts {
                    0 => std::mem::take(&mut self.trees),
                    _ => Vec::new(),
                };
                Said::Settled(trees, settle)
            }
            None => Said::Nothing,
        }
    }

    fn turn(&mut self, what: What) {
        match what {
            What::Nothing => {}
            What::Begins => self.interacts += 1,
            What::Ends => self.interacts = self.interacts.saturating_sub(1),
        }
    }

    fn in_step(&self) -> bool {
        self.out.iter().any(|(_, mark)| matches!(mark, Mark::Step))
    }
}

impl Settle {
    fn give_up(self) {
        let error = Error::timeout(plushie_pool::Phase::Reply, self.patience)
            .about("the app has not reacted")
            .with_hint("does its `update` or `view` return?");
        // Whoever left does not want to know.
        let _ = self.done.send(Err(error));
    }
}

/// As many as can be one message, because the renderer goes on with the first tree it gets. Its
/// rules for the order within a patch may not allow all; the others then wait for the next step.
fn first(trees: &mut Vec<Line>) -> Line {
    if trees.is_empty() {
        return EMPTY.to_vec();
    }
    let longest = (2..=trees.len())
        .rev()
        .find_map(|count| Some((count, merged(&trees[..count])?)));
    match longest {
        Some((count, merged)) => {
            trees.drain(..count);
            merged
        }
        None => trees.remove(0),
    }
}

/// A tree that says: as it is.
const EMPTY: &[u8] = b"{\"type\":\"patch\",\"session\":\"\",\"ops\":[]}\n";

#[derive(Serialize, Deserialize)]
struct Patch<'a> {
    r#type: &'a str,
    session: &'a str,
    #[serde(borrow)]
    ops: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Op<'a> {
    op: &'a str,
}

/// Patches as one. A renderer takes only those in which, under each parent, children are removed
/// first and inserted last.
fn merged(trees: &[Line]) -> Option<Line> {
    let patches: Vec<Patch<'_>> = trees
        .iter()
        .map(|tree| serde_json::from_slice(tree).ok())
        .collect::<Option<_>>()?;
    let last = patches.len() - 1;
    let mut all = Vec::new();
    for (index, patch) in patches.into_iter().enumerate() {
        if patch.r#type != "patch" {
            return None;
        }
        for op in patch.ops {
            let kind: Op<'_> = serde_json::from_str(op.get()).ok()?;
            let fits = match kind.op {
                "remove_child" => index == 0,
                "insert_child" => index == last,
                _ => true,
            };
            if !fits {
                return None;
            }
            all.push(op);
        }
    }
    let patch = Patch {
        r#type: "patch",
        session: "",
        ops: all,
    };
    let mut line = serde_json::to_vec(&patch).ok()?;
    line.push(b'\n');
    Some(line)
}

fn outline(line: &[u8]) -> Option<Outline<'_>> {
    serde_json::from_slice(line).ok()
}

/// The app is gone, so it will not react.
pub(crate) fn gone() -> Error {
    Error::new(ErrorKind::SessionClosed, "the app has ended")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a check that cannot be made has failed

    use serde_json::{Value, json};

    use super::*;

    const STEP: &[u8] = b"{\"type\":\"interact_step\",\"id\":\"~1\",\"events\":[]}\n";

    fn line(message: &Value) -> Line {
        format!("{message}\n").into_bytes()
    }

    fn returned(mark: &[u8]) -> Line {
        let mark: Value = serde_json::from_slice(mark).unwrap();
        line(&json!({"type": "command", "session": "", "id": mark["id"], "value": null}))
    }

    fn patch(ops: &Value) -> Line {
        line(&json!({"type": "patch", "session": "", "ops": ops}))
    }

    fn answer(said: Said) -> Value {
        match said {
            Said::Answer(line) => serde_json::from_slice(&line).unwrap(),
            _ => panic!("it answers no step"),
        }
    }

    fn asked(steps: &mut Steps, what: What) -> Line {
        let (done, _) = oneshot::channel();
        let patience = Duration::from_secs(60);
        steps.settle(Settle {
            done,
            what,
            deadline: Instant::now() + patience,
            patience,
        })
    }

    fn update(n: u64) -> Value {
        json!({"op": "update_props", "path": [0], "props": {"n": n}})
    }

    #[test]
    fn a_step_without_a_tree_is_answered_with_an_empty_patch() {
        let mut steps = Steps::default();
        let mark = steps.tell(STEP).unwrap();
        let answer = answer(steps.hear(returned(&mark)));
        assert_eq!(answer, json!({"type": "patch", "session": "", "ops": []}));
    }

    #[test]
    fn the_trees_of_a_step_are_one_answer() {
        let mut steps = Steps::default();
        let mark = steps.tell(STEP).unwrap();
        for n in [1, 2] {
            assert!(matches!(steps.hear(patch(&json!([update(n)]))), Said::Kept));
        }
        let both = answer(steps.hear(returned(&mark)));
        assert_eq!(both["ops"], json!([update(1), update(2)]));
        // After it trees pass as ever.
        let said = steps.hear(patch(&json!([update(3)])));
        assert!(matches!(said, Said::Message(_)));
    }

    #[test]
    fn what_no_patch_may_hold_is_two_answers() {
        let mut steps = Steps::default();
        let begins = asked(&mut steps, What::Begins);
        assert!(matches!(steps.hear(returned(&begins)), Said::Settled(..)));
        let mark = steps.tell(STEP).unwrap();
        let insert = json!([{"op": "insert_child", "path": [], "index": 0, "node": {}}]);
        let remove = json!([{"op": "remove_child", "path": [], "index": 0}]);
        steps.hear(patch(&insert));
        steps.hear(patch(&remove));
        assert_eq!(answer(steps.hear(returned(&mark)))["ops"], insert);
        let mark = steps.tell(STEP).unwrap();
        assert_eq!(answer(steps.hear(returned(&mark)))["ops"], remove);
    }

    #[test]
    fn what_is_shown_between_steps_answers_none_that_the_app_has_not_seen() {
        let mut steps = Steps::default();
        let begins = asked(&mut steps, What::Begins);
        assert!(matches!(steps.hear(returned(&begins)), Said::Settled(..)));
        // The renderer may be in a step by now, of which nobody here has heard.
        assert!(matches!(steps.hear(patch(&json!([update(1)]))), Said::Kept));
        let mark = steps.tell(STEP).unwrap();
        steps.hear(patch(&json!([update(2)])));
        let both = answer(steps.hear(returned(&mark)));
        assert_eq!(both["ops"], json!([update(1), update(2)]));

        let last = patch(&json!([update(3)]));
        assert!(matches!(steps.hear(last.clone()), Said::Kept));
        let ends = asked(&mut steps, What::Ends);
        match steps.hear(returned(&ends)) {
            Said::Settled(trees, _) => assert_eq!(trees, [last]),
            _ => panic!("it has ended"),
        }
        let said = steps.hear(patch(&json!([update(4)])));
        assert!(matches!(said, Said::Message(_)));
    }

    #[test]
    fn other_messages_pass_in_a_step() {
        let mut steps = Steps::default();
        steps.tell(STEP).unwrap();
        let subscribe = line(&json!({"type": "subscribe", "kind": "on_key_press"}));
        assert!(matches!(steps.hear(subscribe), Said::Message(_)));
        assert!(steps.tell(b"{\"type\":\"event\"}\n").is_none());
    }

    #[test]
    fn who_waits_too_long_is_told_and_the_late_mark_means_nothing() {
        let mut steps = Steps::default();
        let (done, mut waits) = oneshot::channel();
        let now = Instant::now();
        let mark = steps.settle(Settle {
            done,
            what: What::Nothing,
            deadline: now,
            patience: Duration::ZERO,
        });
        assert_eq!(steps.deadline(), Some(now));
        steps.expire(now);
        let error = waits.try_recv().unwrap().unwrap_err();
        assert!(error.to_string().contains("has not reacted"), "{error}");
        assert!(matches!(steps.hear(returned(&mark)), Said::Nothing));
        assert_eq!(steps.deadline(), None);
    }
}
