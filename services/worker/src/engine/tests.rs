//! The engine against real models.

use std::path::Path;

use super::*;
use crate::export::{self, Fixture};
use crate::tensor::Datatype;

/// An engine for a model that `write` puts at the path it is given.
fn engine_for(write: impl FnOnce(&Path)) -> Box<dyn Engine> {
    let folder = tempfile::tempdir().unwrap();
    let artefact = folder.path().join("model.pt");
    write(&artefact);
    load(&EngineSpec { device: Device::Cpu, ..EngineSpec::new(&artefact) }).unwrap()
}

fn engine_of(fixture: Fixture) -> Box<dyn Engine> {
    engine_for(|path| export::fixture(fixture, path).unwrap())
}

/// An engine for a model of one input and the given `forward`.
fn engine_from(returns: &str, body: &[&str]) -> Box<dyn Engine> {
    engine_for(|path| export::save_source("inline", &format!("INPUT0: Tensor) -> {returns}"), body, path).unwrap())
}

#[test]
fn a_file_that_is_no_module_is_named_for_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let artefact = folder.path().join("model.pt");
    let reason = || load(&EngineSpec::new(&artefact)).err().unwrap().to_string();
    assert_eq!(reason(), "cannot load model.pt: it is not in the version's folder");
    std::fs::write(folder.path().join("ranker.pt"), "").unwrap();
    assert!(reason().contains("ranker.pt is; rename that, or say artefact = \"ranker.pt\""), "{}", reason());
    std::fs::write(&artefact, "half of a mod").unwrap();
    assert!(reason().ends_with("it is damaged, or not all of it is there"), "{}", reason());
    let mut saved = zip::ZipWriter::new(std::fs::File::create(&artefact).unwrap());
    let stored = zip::write::FileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in [("model/data.pkl", &b"\x80\x02}."[..]), ("model/version", b"3\n")] {
        saved.start_file(name, stored).unwrap();
        std::io::Write::write_all(&mut saved, content).unwrap();
    }
    saved.finish().unwrap();
    assert!(reason().contains("what torch.save writes") && reason().contains("torch.jit.script(model).save"), "{}", reason());
}

#[test]
fn every_datatype_that_libtorch_has_comes_back_as_it_went() {
    let mut engine = engine_of(Fixture::Noop);
    for datatype in Datatype::ALL {
        let Some(size) = datatype.element_size() else { continue };
        let data: Vec<u8> = (0..6 * size).map(|index| u8::from(index % 3 == 0)).collect();
        let sent = Tensor { datatype, shape: vec![2, 3], data: data.into() };
        match engine.forward(std::slice::from_ref(&sent)) {
            Ok(answer) => assert_eq!(answer, [sent]),
            Err(EngineError::UnsupportedDatatype { datatype }) => {
                assert!(matches!(datatype, Datatype::Uint16 | Datatype::Uint32 | Datatype::Uint64), "{datatype}");
            }
            Err(error) => panic!("{datatype}: {error}"),
        }
    }
}

#[test]
fn any_byte_but_zero_is_true() {
    let sent = Tensor { datatype: Datatype::Bool, shape: vec![4], data: vec![0, 1, 2, 255].into() };
    let answer = engine_of(Fixture::Noop).forward(&[sent]).unwrap();
    assert_eq!(answer[0].data[..], [0, 1, 1, 1]);
}

#[test]
fn an_empty_batch_and_a_scalar_pass() {
    let mut engine = engine_of(Fixture::Noop);
    for sent in [Tensor::from_f32s([0, 384], &[]), Tensor::from_f32s([], &[1.5])] {
        assert_eq!(engine.forward(std::slice::from_ref(&sent)).unwrap(), [sent]);
    }
}

#[test]
fn a_tuple_of_tensors_becomes_the_outputs_in_order() {
    let inputs = [Tensor::from_f32s([2], &[1.0, 2.0]), Tensor::from_f32s([2], &[3.0, 6.0])];
    let answer = engine_of(Fixture::SumMean).forward(&inputs).unwrap();
    assert_eq!(answer, [Tensor::from_f32s([2], &[4.0, 8.0]), Tensor::from_f32s([2], &[2.0, 4.0])]);
}

#[test]
fn a_dictionary_of_tensors_is_put_in_the_order_of_the_wanted_outputs() {
    let inputs = [Tensor::from_f32s([1], &[1.0]), Tensor::from_f32s([1], &[3.0])];
    let folder = tempfile::tempdir().unwrap();
    let artefact = folder.path().join("model.pt");
    export::fixture(Fixture::SumMeanNamed, &artefact).unwrap();
    let forward = |outputs: &[&str]| {
        let outputs = outputs.iter().map(|&name| name.to_owned()).collect();
        load(&EngineSpec { outputs, ..EngineSpec::new(&artefact) }).unwrap().forward(&inputs)
    };
    let (sum, mean) = (Tensor::from_f32s([1], &[4.0]), Tensor::from_f32s([1], &[2.0]));
    assert_eq!(forward(&["sum", "mean"]).unwrap(), [sum.clone(), mean.clone()]);
    assert_eq!(forward(&["mean"]).unwrap(), std::slice::from_ref(&mean));
    assert_eq!(forward(&[]).unwrap(), [mean, sum], "without names, as the model gives them");
    let error = forward(&["sum", "median"]).unwrap_err();
    assert!(matches!(&error, EngineError::MissingOutput { name } if name == "median"), "{error}");
}

#[test]
fn a_list_of_tensors_becomes_the_outputs_in_order() {
    let answer = engine_from("List[Tensor]", &["return [INPUT0, torch.neg(INPUT0)]"]).forward(&[Tensor::from_i64s([1], &[5])]).unwrap();
    assert_eq!(answer, [Tensor::from_i64s([1], &[5]), Tensor::from_i64s([1], &[-5])]);
}

#[test]
fn an_output_in_another_memory_order_arrives_row_by_row() {
    let answer = engine_from("Tensor", &["return torch.t(INPUT0)"]).forward(&[Tensor::from_i64s([2, 2], &[1, 2, 3, 4])]).unwrap();
    assert_eq!(answer, [Tensor::from_i64s([2, 2], &[1, 3, 2, 4])]);
}

#[test]
fn an_output_that_is_no_tensor_is_named() {
    for (returns, body, what) in [("str", "return \"text\"", "a string"), ("Tuple[Tensor, str]", "return (INPUT0, \"\")", "a string")] {
        let error = engine_from(returns, &[body]).forward(&[Tensor::from_i64s([1], &[5])]).unwrap_err();
        assert!(matches!(&error, EngineError::UnsupportedOutput { what: found } if found.contains(what)), "{error}");
    }
}

#[test]
fn tuples_and_lists_inside_each_other_become_the_outputs_in_order_and_nothing_leaves_no_gap() {
    let returns = "Tuple[Tensor, Tuple[Tensor, List[Tensor]], Optional[Tensor]]";
    let body = "return (INPUT0, (torch.neg(INPUT0), [torch.mul(INPUT0, 2), torch.mul(INPUT0, 3)]), None)";
    let answer = engine_from(returns, &[body]).forward(&[Tensor::from_i64s([1], &[5])]).unwrap();
    assert_eq!(answer, [5, -5, 10, 15].map(|value| Tensor::from_i64s([1], &[value])));
}

#[test]
fn a_dictionary_inside_a_dictionary_is_reached_with_a_dot() {
    let body = "return {\"aux\": {\"mask\": torch.neg(INPUT0)}, \"main\": {\"x\": INPUT0}}";
    let folder = tempfile::tempdir().unwrap();
    let artefact = folder.path().join("model.pt");
    export::save_source("inline", "INPUT0: Tensor) -> Dict[str, Dict[str, Tensor]]", &[body], &artefact).unwrap();
    let outputs = vec!["main.x".to_owned(), "aux.mask".to_owned()];
    let answer = load(&EngineSpec { outputs, ..EngineSpec::new(&artefact) }).unwrap().forward(&[Tensor::from_i64s([1], &[5])]).unwrap();
    assert_eq!(answer, [5, -5].map(|value| Tensor::from_i64s([1], &[value])));
}

#[test]
fn a_number_becomes_a_tensor_without_dimensions() {
    let one = [Tensor::from_i64s([3], &[4, 5, 6])];
    let answer = engine_from("Tuple[int, float, bool, List[int]]", &["return (7, 0.5, True, [1, 2])"]).forward(&one).unwrap();
    let shapes: Vec<_> = answer.iter().map(|tensor| (tensor.datatype.name(), tensor.shape.clone())).collect();
    assert_eq!(shapes, [("INT64", vec![]), ("FP64", vec![]), ("BOOL", vec![]), ("INT64", vec![2])]);
    assert_eq!((answer[0].to_i64s().unwrap(), answer[3].to_i64s().unwrap()), (vec![7], vec![1, 2]));
    let sum = engine_from("Tensor", &["return torch.sum(INPUT0)"]).forward(&one).unwrap();
    assert_eq!(sum, [Tensor::from_i64s([], &[15])]);
}

#[test]
fn memory_that_is_not_there_is_an_error_of_its_own() {
    let body = "return torch.add(INPUT0, torch.numel(torch.zeros([4398046511104, 1024])))";
    let mut engine = engine_from("Tensor", &[body]);
    let error = engine.forward(&[Tensor::from_i64s([1], &[5])]).unwrap_err();
    assert!(matches!(error, EngineError::OutOfMemory { .. }), "{error}");
    assert_eq!(error.to_string(), "the model ran out of memory");
}

#[test]
fn weights_are_converted_when_they_are_read_and_callers_do_not_see_it() {
    let folder = tempfile::tempdir().unwrap();
    let artefact = folder.path().join("model.pt");
    let weight: Vec<Vec<f32>> = (0..4).map(|row| (0..16).map(|column| (row * 16 + column) as f32 / 61.0).collect()).collect();
    let body = ["return torch.linear(INPUT0, self.weight)"];
    export::save_with_weight("linear", "INPUT0: Tensor) -> Tensor", &body, &weight, &artefact).unwrap();
    let sent = Tensor::from_f32s([1, 16], &weight[3]);
    let answer = |dtype| {
        let answer =
            load(&EngineSpec { dtype, device: Device::Cpu, ..EngineSpec::new(&artefact) })?.forward(std::slice::from_ref(&sent))?;
        Ok::<_, EngineError>((answer[0].datatype, answer[0].to_f32s().unwrap()))
    };
    let (exact, (datatype, rounded)) = (answer(Dtype::Auto).unwrap().1, answer(Dtype::Bf16).unwrap());
    let difference = exact.iter().zip(&rounded).map(|(left, right)| (left - right).abs()).fold(0.0, f32::max);
    assert_eq!(datatype, Datatype::Fp32);
    assert!(difference > 0.0 && difference < 0.1, "{difference}");
    assert_eq!(answer(Dtype::Fp32).unwrap().1, exact);
    let own: f32 = weight[3].iter().map(|value| value * value).sum();
    assert!((exact[3] - own).abs() < 1e-5, "{exact:?}");
}

#[test]
fn a_module_without_weights_refuses_a_dtype() {
    let folder = tempfile::tempdir().unwrap();
    let artefact = folder.path().join("model.pt");
    export::fixture(Fixture::Noop, &artefact).unwrap();
    let error = load(&EngineSpec { dtype: Dtype::Bf16, ..EngineSpec::new(&artefact) }).err().unwrap();
    assert!(error.to_string().contains("no parameters that could be converted"), "{error}");
}

#[test]
fn an_error_inside_the_model_is_one_line_for_the_caller_and_leaves_the_engine_usable() {
    let mut engine = engine_of(Fixture::FailsOnNegative);
    let error = engine.forward(&[Tensor::from_i64s([2], &[1, -1])]).unwrap_err();
    assert_eq!(error.to_string(), "the model failed: INPUT0 holds a negative number");
    assert!(error.detail().is_some_and(|detail| detail.contains("Traceback")), "the log gets the trace");
    assert!(engine.forward(&[Tensor::from_i64s([1], &[1])]).is_ok());
}

#[test]
fn a_wrong_number_of_inputs_or_a_wrong_shape_is_an_error() {
    let pair = [Tensor::from_f32s([2], &[1.0, 2.0]), Tensor::from_f32s([3], &[3.0, 6.0, 9.0])];
    let mut engine = engine_of(Fixture::SumMean);
    for inputs in [&pair[..], &pair[..1], &[]] {
        let error = engine.forward(inputs).unwrap_err();
        assert!(matches!(error, EngineError::Forward { .. }) && !error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn data_that_does_not_fit_its_shape_never_reaches_libtorch() {
    let mut engine = engine_of(Fixture::Noop);
    for shape in [vec![1 << 40], vec![-1], vec![i64::MAX, 3]] {
        let error = engine.forward(&[Tensor { datatype: Datatype::Fp32, shape, data: vec![0; 8].into() }]).unwrap_err();
        assert!(matches!(error, EngineError::InconsistentInput { index: 0, actual: 8 }), "{error}");
    }
}

#[test]
fn a_missing_or_damaged_artefact_is_an_error_that_hides_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let damaged = folder.path().join("damaged.pt");
    std::fs::write(&damaged, "not a model").unwrap();
    for artefact in [damaged, folder.path().join("missing.pt"), folder.path().to_owned()] {
        let error = load(&EngineSpec::new(&artefact)).err().unwrap().to_string();
        let file = artefact.file_name().unwrap().to_str().unwrap();
        assert!(error.starts_with(&format!("cannot load {file}: ")), "{error}");
        assert!(!error.contains(folder.path().parent().unwrap().to_str().unwrap()), "{error}");
    }
}

#[test]
fn a_gpu_that_is_not_there_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let artefact = folder.path().join("model.pt");
    export::fixture(Fixture::Noop, &artefact).unwrap();
    let error = load(&EngineSpec { device: Device::Cuda(4096), ..EngineSpec::new(&artefact) }).err().unwrap();
    assert_eq!(error.to_string(), "cuda:4096 is not available on this machine");
}

#[test]
fn a_model_does_not_change_the_bytes_it_was_given() {
    let sent = Tensor::from_i64s([2], &[1, 2]);
    let answer = engine_from("Tensor", &["return torch.zero_(INPUT0)"]).forward(std::slice::from_ref(&sent)).unwrap();
    assert_eq!(answer, [Tensor::from_i64s([2], &[0, 0])]);
    assert_eq!(sent, Tensor::from_i64s([2], &[1, 2]));
}

#[test]
fn engines_on_several_threads_do_not_mix_their_answers() {
    let forward = |seed: i64| {
        let mut engine = engine_of(Fixture::SumMean);
        for round in 0..200 {
            let value = (seed * 1000 + round) as f32;
            let inputs = [Tensor::from_f32s([1], &[value]), Tensor::from_f32s([1], &[value])];
            assert_eq!(engine.forward(&inputs).unwrap()[1], inputs[0]);
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|seed| drop(scope.spawn(move || forward(seed)))));
}
