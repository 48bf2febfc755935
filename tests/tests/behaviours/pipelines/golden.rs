//! Pipelines of the demo models, against the models themselves.

use torchmesh_api::{inference::InferParameter, inference::infer_parameter::ParameterChoice, tensor::Tensor};
use torchmesh_tests::{bounded, client, models::Model};

use super::{call, given, mesh, output, request, step, texts, transform, words};

#[test]
fn a_picture_is_cropped_resized_and_classified_as_the_model_does_it() {
    bounded(async {
        let look = [
            "[[input]]\nname = 'image'\ndatatype = 'FP32'\nshape = [-1, 3, -1, -1]\n",
            &transform("part", "crop", "x = 'input.image'", "top = 16\nleft = 16\nheight = 224\nwidth = 224"),
            &transform("small", "resize", "x = 'part.out'", "height = 224\nwidth = 224"),
            &step("see", "efficientnet-lite0", "IMAGE = 'small.out'", ""),
            &transform("best", "top_k", "x = 'see.LOGITS'", "k = 3"),
            &output("class", "'best.indices'"),
            &output("score", "'best.values'"),
        ]
        .concat();
        let described = describe(Model::lite()).await;
        let look = look.replace("IMAGE", &described.0).replace("LOGITS", &described.1);
        let mesh = mesh([Model::lite()], &[("look/1", &look)]).await;
        let pixels: Vec<f32> = (0..3 * 256 * 256).map(|at| ((at * 7919 % 1000) as f32 / 500.0) - 1.0).collect();
        let image = Tensor::from_f32s([1, 3, 256, 256], &pixels);
        let answer = call(&mesh, "look", &[("image", image)]).await.unwrap();
        let part: Vec<f32> = (0..3)
            .flat_map(|channel| (16..240).flat_map(move |row| (16..240).map(move |column| channel * 65_536 + row * 256 + column)))
            .map(|at| pixels[at])
            .collect();
        let direct = call(&mesh, "efficientnet-lite0", &[(&described.0, Tensor::from_f32s([1, 3, 224, 224], &part))]).await.unwrap();
        let logits = client::floats(&direct);
        let mut order: Vec<usize> = (0..logits.len()).collect();
        order.sort_by(|a, b| logits[*b].total_cmp(&logits[*a]));
        let best: Vec<i64> = order[..3].iter().map(|at| i64::try_from(*at).unwrap()).collect();
        assert_eq!(given(&answer, "class").unwrap().to_i64s().unwrap(), best);
        assert_eq!(given(&answer, "score").unwrap().to_f32s().unwrap(), order[..3].iter().map(|at| logits[*at]).collect::<Vec<_>>());
    });
}

/// The names of a model's first input and output.
async fn describe(model: Model) -> (String, String) {
    let name = model.name.clone();
    let mesh = torchmesh_tests::MeshSandbox::with([model]).await;
    let question = torchmesh_api::inference::ModelMetadataRequest { name, ..Default::default() };
    let metadata = mesh.inference().model_metadata(question).await.unwrap().into_inner();
    (metadata.inputs[0].name.clone(), metadata.outputs[0].name.clone())
}

#[test]
fn a_story_begins_with_a_template_and_goes_on_word_for_word_as_the_model_tells_it() {
    bounded(async {
        let tell = [
            "[[input]]\nname = 'who'\ndatatype = 'BYTES'\nshape = [1]\n",
            &transform("begin", "template", "who = 'input.who'", "text = 'Once upon a time, a little {who}'"),
            &step("story", "stories", "text_input = 'begin.out'", "parameters = { max_tokens = 24, temperature = 0 }"),
            &transform("whole", "template", "a = 'begin.out', b = 'story.text_output'", "text = '{a}{b}'"),
            &output("y", "'whole.out'"),
        ]
        .concat();
        let mesh = mesh([Model::stories()], &[("tell/1", &tell)]).await;
        let parameter = |choice| InferParameter { parameter_choice: Some(choice) };
        for who in ["cat", "girl named Lily"] {
            let beginning = format!("Once upon a time, a little {who}");
            let mut direct = request("stories", &[("text_input", texts(&[&beginning]))]);
            direct.parameters.insert("max_tokens".into(), parameter(ParameterChoice::Int64Param(24)));
            direct.parameters.insert("temperature".into(), parameter(ParameterChoice::Int64Param(0)));
            let direct = mesh.inference().model_infer(direct).await.unwrap().into_inner();
            let told = words(&given(&direct, "text_output").unwrap()).concat();
            assert!(told.len() > 20, "{told:?}");
            let answer = call(&mesh, "tell", &[("who", texts(&[who]))]).await.unwrap();
            assert_eq!(words(&given(&answer, "y").unwrap()), [beginning + &told]);
        }
    });
}

#[test]
fn two_texts_are_embedded_side_by_side_and_their_mean_is_the_mean_of_the_models_vectors() {
    bounded(async {
        let inputs = |name: &str| format!("[[input]]\nname = '{name}'\ndatatype = 'INT64'\nshape = [1, -1]\n");
        let both = [
            &inputs("a"),
            &inputs("b"),
            &inputs("mask_a"),
            &inputs("mask_b"),
            &step("one", "minilm", "input_ids = 'input.a', attention_mask = 'input.mask_a'", ""),
            &step("two", "minilm", "input_ids = 'input.b', attention_mask = 'input.mask_b'", ""),
            &transform("mean", "mean", "a = 'one.OUTPUT', b = 'two.OUTPUT'", ""),
            &output("y", "'mean.out'"),
        ]
        .map(String::as_str)
        .concat();
        let described = describe(Model::minilm()).await;
        let both = both.replace("OUTPUT", &described.1);
        let mesh = mesh([Model::minilm()], &[("both/1", &both)]).await;
        let texts = [vec![101_i64, 1037, 2158, 102], vec![101, 7592, 2088, 102]];
        let tensor = |ids: &[i64]| Tensor::from_i64s([1, i64::try_from(ids.len()).unwrap()], ids);
        let ones = |ids: &[i64]| tensor(&vec![1; ids.len()]);
        let direct = async |ids: &Vec<i64>| {
            let answer = mesh.inference().model_infer(client::tokens(std::slice::from_ref(ids))).await.unwrap();
            client::floats(answer.get_ref())
        };
        let (one, two) = (direct(&texts[0]).await, direct(&texts[1]).await);
        let [a, b] = &texts;
        let answer = call(&mesh, "both", &[("a", tensor(a)), ("b", tensor(b)), ("mask_a", ones(a)), ("mask_b", ones(b))]).await.unwrap();
        let mean = given(&answer, "y").unwrap().to_f32s().unwrap();
        assert_eq!(mean.len(), one.len());
        for ((mean, one), two) in mean.iter().zip(&one).zip(&two) {
            // Two texts in one batch are computed in another order than each by itself.
            assert!((mean - f32::midpoint(*one, *two)).abs() < 1e-4, "{mean} of {one} and {two}");
        }
    });
}

#[test]
fn a_last_step_tells_its_story_piece_by_piece() {
    bounded(async {
        let tell = [
            "stream = 'story'\n[[input]]\nname = 'who'\ndatatype = 'BYTES'\nshape = [1]\n",
            &transform("begin", "template", "who = 'input.who'", "text = 'Once upon a time, a little {who}'"),
            &step("story", "stories", "text_input = 'begin.out'", "parameters = { max_tokens = 24, temperature = 0 }"),
            &output("y", "'story.text_output'"),
        ]
        .concat();
        let mesh = mesh([Model::stories()], &[("tell/1", &tell)]).await;
        let question = request("tell", &[("who", texts(&["cat"]))]);
        let whole = words(&given(&mesh.inference().model_infer(question.clone()).await.unwrap().into_inner(), "y").unwrap()).concat();
        let mut pieces = mesh.inference().model_stream_infer(tokio_stream::iter([question])).await.unwrap().into_inner();
        let mut told = Vec::new();
        while let Some(piece) = pieces.message().await.unwrap() {
            assert_eq!(piece.error_message, "");
            let piece = piece.infer_response.unwrap();
            assert_eq!(piece.model_name, "tell");
            told.extend(given(&piece, "y").iter().flat_map(words));
        }
        assert!(told.len() > 5, "{told:?}");
        assert_eq!(told.concat(), whole);
    });
}
