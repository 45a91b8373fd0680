//! The real renderer, as the tests start it.

fn main() -> impl std::process::Termination {
    plushie_renderer::run(plushie_widget_sdk::app::PlushieAppBuilder::new())
}
