//! Other people's clients, as they are, against real models.

use torchmesh_tests::{
    MeshSandbox, bounded,
    models::Model,
    python::{is_content, script},
};

#[test]
fn the_openai_package_talks_with_the_models() {
    bounded(async {
        let models = [Model::smollm2().headed("chat_template = \"tools.jinja\""), Model::stories()];
        is_content(script("openai_language.py", &MeshSandbox::with(models).await)).await;
    });
}

#[test]
fn tritonclient_streams_a_story() {
    bounded(async { is_content(script("triton_language.py", &MeshSandbox::with([Model::stories()]).await)).await });
}
