//! The shipped program: built without the dependencies of tests, because those can turn on features
//! that the shipped program then lacks.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

/// Built once, as `build_program` of support/scripts/lib/install.sh does it: into a folder of its
/// own, so that it does not replace the program of the other tests.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let builds = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("cargo's target folder");
    let target = builds.join("shipped");
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--locked", "--quiet", "--bin", "parkbrake", "--target-dir"]).arg(&target);
    // What cargo tells a test about its package would make some dependencies build again.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|start| name.to_string_lossy().starts_with(start)) {
            build.env_remove(name);
        }
    }
    let built = build.env("CARGO_BUILD_BUILD_DIR", builds).current_dir(root).status().expect("cargo");
    assert!(built.success(), "the program does not build without the dependencies of its tests");
    target.join("debug/parkbrake")
});

/// The canonical form of a document, by the shipped program.
#[track_caller]
fn canonical(document: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new(&*PROGRAM).args(["digest", "--canonical"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program");
    let mut input = child.stdin.take().expect("its input");
    let document = document.to_vec();
    let writing = std::thread::spawn(move || input.write_all(&document).expect("a reader"));
    let output = child.wait_with_output().expect("its end");
    writing.join().expect("the whole document");
    assert!(output.status.success());
    output.stdout
}

/// Doubles of every magnitude, with 17 digits each, which identify every double exactly.
fn doubles(count: usize) -> Vec<f64> {
    // A generator of splitmix64: the same doubles on every machine.
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = move || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    let plain = [333_333_333.333_333_3, 1.902_082_627_979_291_3e-10, 6.820_774_418_063_099e-10, 248.390_000_000_000_01, 5e-324, f64::MAX];
    let random = std::iter::repeat_with(move || f64::from_bits(next())).filter(|double| double.is_finite());
    plain.into_iter().chain(random).take(count).collect()
}

#[test]
fn each_of_100_000_doubles_keeps_its_value() {
    let doubles = doubles(100_000);
    let (mut document, mut expected) = (String::from("["), String::from("["));
    for (index, double) in doubles.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // The standard library reads and writes doubles exactly; RFC 8785 uses ECMAScript's
        // spelling.
        write!(document, "{comma}{double:.16e}").unwrap();
        write!(expected, "{comma}{}", ryu_js::Buffer::new().format_finite(*double)).unwrap();
    }
    document.push(']');
    expected.push(']');
    let found = String::from_utf8(canonical(document.as_bytes())).unwrap();
    let wrong: Vec<_> = found.split(',').zip(expected.split(',')).filter(|(found, expected)| found != expected).take(5).collect();
    assert!(wrong.is_empty() && found.len() == expected.len(), "found and expected: {wrong:?}");
}

/// The published test vectors of RFC 8785, if they are present.
#[test]
fn the_published_vectors_come_out_byte_for_byte() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/json-canonicalization");
    let Ok(inputs) = std::fs::read_dir(folder.join("input")) else { return };
    for input in inputs.map(|entry| entry.unwrap().path()) {
        let expected = std::fs::read(folder.join("output").join(input.file_name().unwrap())).unwrap();
        let found = canonical(&std::fs::read(&input).unwrap());
        assert_eq!(String::from_utf8_lossy(&found), String::from_utf8_lossy(expected.trim_ascii_end()), "{}", input.display());
    }
}
