//! What is shipped: a path of the caller's, or a folder made here from the workspace's own sources.

use crate::cloud::{
    error::{CloudError, Doing},
    folder::Folder,
};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
};

/// The seed of the generated file, so that every run ships the same bytes.
const SEED: u64 = 0x5ea1_a4e0_2026_1122;

/// What will be shipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// A file or a folder.
    pub path: PathBuf,
    /// Files in it.
    pub files: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Bytes carried to a region after which it is cut off.
    pub cut_after: u64,
}

/// Looks at what the caller wants shipped.
///
/// # Errors
/// When it is missing or not readable, or holds no file.
pub fn given(path: &Path) -> Result<Input, CloudError> {
    // The archive may be many times smaller, and the cut has to come before it ends.
    look(path, |bytes| bytes / 16)
}

/// Makes the default folder: the tracked sources, and `generated` bytes that do not compress.
///
/// # Errors
/// When a file cannot be copied or written.
pub fn assembled(folder: &Folder, generated: u64) -> Result<Input, CloudError> {
    let place = folder.local().join("demo-input");
    if place.exists() {
        fs::remove_dir_all(&place).doing(format!("emptying `{}`", place.display()))?;
    }
    for name in tracked(folder.workspace())? {
        let (from, to) = (folder.workspace().join(&name), place.join("sources").join(&name));
        // A link, or a file that is deleted but not yet committed so, is no source of bytes.
        if !fs::symlink_metadata(&from).is_ok_and(|found| found.is_file()) {
            continue;
        }
        let above = to.parent().unwrap_or(&place);
        fs::create_dir_all(above)
            .and_then(|()| fs::copy(&from, &to))
            .doing(format!("copying `{}`", from.display()))?;
    }
    fs::create_dir_all(&place).doing(format!("creating `{}`", place.display()))?;
    let path = place.join("generated.bin");
    generate(&path, generated).doing(format!("writing `{}`", path.display()))?;
    look(&place, |bytes| bytes / 4)
}

/// The files that git tracks; without git, everything but build output.
fn tracked(workspace: &Path) -> Result<Vec<PathBuf>, CloudError> {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(workspace).output();
    if let Ok(listed) = listed.as_ref().map(|listed| &listed.stdout)
        && !listed.is_empty()
    {
        let text = String::from_utf8_lossy(listed);
        return Ok(text.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect());
    }
    let mut found = Vec::new();
    walk(workspace, &mut |path| {
        let name = path.strip_prefix(workspace).unwrap_or(path);
        if !name.starts_with("target") && !name.starts_with(".git") {
            found.push(name.to_owned());
        }
        Ok(())
    })?;
    Ok(found)
}

fn generate(path: &Path, bytes: u64) -> std::io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut noise = Noise(SEED);
    for _ in 0..bytes / 8 {
        file.write_all(&noise.next().to_le_bytes())?;
    }
    file.flush()
}

/// SplitMix64 (Steele, Lea and Flood 2014): passes for random, and has no pattern that a packer finds.
struct Noise(u64);

impl Noise {
    const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

fn look(path: &Path, cut_after: impl Fn(u64) -> u64) -> Result<Input, CloudError> {
    let whole = fs::canonicalize(path).doing(format!("reading the input `{}`", path.display()))?;
    let (mut files, mut bytes) = (0, 0);
    walk(&whole, &mut |file| {
        let open = File::open(file).doing(format!("reading the input `{}`", file.display()))?;
        bytes += open.metadata().doing(format!("reading the input `{}`", file.display()))?.len();
        files += 1;
        Ok(())
    })?;
    if files == 0 {
        let what = format!("the input `{}` holds no file", path.display());
        return Err(CloudError::failed(what, "name a file, or a folder with files in it".to_owned()));
    }
    Ok(Input { path: whole, files, bytes, cut_after: cut_after(bytes) })
}

/// Shows every file at or below `path` to `visit`, in the order of their names.
fn walk(path: &Path, visit: &mut impl FnMut(&Path) -> Result<(), CloudError>) -> Result<(), CloudError> {
    if !path.is_dir() {
        return visit(path);
    }
    let reading = || format!("reading the folder `{}`", path.display());
    let listed = fs::read_dir(path).doing(reading())?;
    let mut below =
        listed.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().doing(reading())?;
    below.sort();
    below.iter().try_for_each(|path| walk(path, visit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_input_is_named() {
        let error = given(Path::new("/nowhere/at/all")).expect_err("not there");
        assert!(error.to_string().contains("`/nowhere/at/all`"), "{error}");
    }

    #[test]
    fn an_empty_folder_is_refused() {
        let place = std::env::temp_dir().join(format!("sealane-empty-{}", std::process::id()));
        fs::create_dir_all(place.join("below")).expect("a folder");
        let error = given(&place).expect_err("no file in it");
        fs::remove_dir_all(&place).expect("removed");
        assert!(error.to_string().contains("holds no file"), "{error}");
    }

    #[test]
    fn files_are_counted_with_their_bytes() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
        let found = given(&manifest).expect("there");
        assert_eq!((found.files, found.bytes), (1, fs::metadata(manifest).expect("there").len()));
    }

    #[test]
    fn the_generated_bytes_are_those_of_the_published_generator() {
        // The first outputs for seed 0, as in the reference implementation.
        let mut noise = Noise(0);
        assert_eq!([noise.next(), noise.next()], [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4]);
    }
}
