use super::*;

fn scan(dir: &Path) -> io::Result<Vec<Found>> {
    super::scan(&Repository::new(dir, &dir.join(".cache")))
}

fn numbers(found: &Found) -> Vec<u64> {
    found.versions.iter().map(|found| found.version.get()).collect()
}

#[test]
fn models_and_versions_are_found_in_order_and_the_rest_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["b/10", "b/2", "b/notes", "b/01", "a/1", ".cache/1", "not a model/1"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("b").join(FILE_NAME), "task = 'embed'").unwrap();
    fs::write(dir.path().join("stray"), "").unwrap();

    let found = scan(dir.path()).unwrap();
    let names: Vec<_> = found.iter().map(|model| model.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(numbers(&found[1]), [2, 10]);
    assert!(found[1].versions[0].content.is_ok());
    assert!(found[0].versions[0].content.as_ref().unwrap_err().contains("a/model.toml is missing"));
    fs::write(dir.path().join("b").join(FILE_NAME), "task = 'embed'\nversions = 'latest'").unwrap();
    assert_eq!(numbers(&scan(dir.path()).unwrap()[1]), [10]);
}

#[test]
fn a_wrong_manifest_names_its_file_and_every_mistake() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("m/1")).unwrap();
    fs::write(dir.path().join("m").join(FILE_NAME), "task = 'embed'\nmax_tokens = 1\npoling = 'mean'").unwrap();
    let reason = scan(dir.path()).unwrap().remove(0).versions.remove(0).content.unwrap_err();
    for part in ["m/model.toml", "max_tokens: must be from 8", "poling: is not a setting"] {
        assert!(reason.contains(part), "{part:?} is missing in {reason}");
    }
}

#[test]
fn a_published_directory_is_a_model_of_one_version() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("m");
    fs::create_dir(&model).unwrap();
    fs::write(model.join("config.json"), r#"{"architectures": ["BertModel"]}"#).unwrap();
    fs::write(model.join("model.safetensors"), "").unwrap();
    let found = scan(dir.path()).unwrap().remove(0);
    assert_eq!(numbers(&found), [1]);
    assert_eq!(found.versions[0].folder, model);
    assert!(found.versions[0].content.is_ok());
    fs::remove_file(model.join("model.safetensors")).unwrap();
    let found = scan(dir.path()).unwrap().remove(0);
    assert!(found.versions[0].content.as_ref().unwrap_err().contains("no model.safetensors"), "{found:?}");
}

#[test]
fn a_stamp_changes_with_every_file_of_the_version_and_the_model_and_with_no_other() {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["m/1/deep", "m/2"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
    }
    let stamps = || scan(dir.path()).unwrap().remove(0).versions.iter().map(|found| found.stamp).collect::<Vec<_>>();
    let mut before = stamps();
    assert_eq!(before, stamps());
    for (file, changes) in [("m/1/model.pt", [true, false]), ("m/1/deep/part", [true, false]), ("m/model.toml", [true, true])] {
        fs::write(dir.path().join(file), "task = 'embed'").unwrap();
        let after = stamps();
        assert_eq!([before[0] != after[0], before[1] != after[1]], changes, "{file}");
        before = after;
    }
}

#[test]
fn a_version_with_a_source_is_elsewhere_until_it_is_fetched_and_in_one_place_only() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("m/2")).unwrap();
    let manifest = |text: &str| fs::write(dir.path().join("m").join(FILE_NAME), text).unwrap();
    let contents = || scan(dir.path()).unwrap().remove(0).versions.into_iter().map(|found| found.content).collect::<Vec<_>>();
    manifest("task = 'embed'\n[[source]]\nurl = 's3://a/b'");
    assert!(matches!(contents().as_slice(), [Ok(Content::Elsewhere(_)), Ok(Content::Here(_))]));
    manifest("task = 'embed'\n[[source]]\nurl = 's3://a/b'\nversion = 2");
    assert!(contents()[0].as_ref().unwrap_err().contains("version 2, and there is a folder m/2 too"));
    manifest("task = 'embed'\nversions = 'latest'\n[[source]]\nurl = 's3://a/b'");
    assert!(matches!(contents().as_slice(), [Ok(Content::Here(_))]), "what is not served is not fetched");
    manifest("task = 'embed'\nmax_tokens = 1\n[[source]]\nurl = 's3://a/b'");
    assert!(contents()[0].as_ref().unwrap_err().contains("max_tokens"), "a mistake is told before the fetch");
    manifest("task = 'embed'\n[[source]]\nurl = 'b'");
    assert!(contents()[0].as_ref().unwrap_err().contains("source[0].url"));
}

#[test]
fn a_folder_that_cannot_be_looked_into_says_so_and_leaves_the_others_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("good/1")).unwrap();
    std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
    fs::write(dir.path().join("good").join(FILE_NAME), "task = 'embed'").unwrap();
    assert_eq!(scan(dir.path()).unwrap().len(), 1);
}

#[test]
fn a_manifest_of_ten_megabytes_is_refused_unread() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("m/1")).unwrap();
    fs::write(dir.path().join("m").join(FILE_NAME), "#".repeat(10 << 20)).unwrap();
    let reason = scan(dir.path()).unwrap().remove(0).versions.remove(0).content.unwrap_err();
    assert!(reason.contains("m/model.toml is longer than 1 MiB"), "{reason}");
}
