//! The copy of the sources that faults are planted in.

use super::Planted;
use crate::cloud::error::{CloudError, Doing};
use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    fs, io,
    path::{Path, PathBuf},
};

/// A copy of the workspace, in step with it.
#[derive(Debug)]
pub struct Copy {
    root: PathBuf,
}

/// A fault that is in the copy until this is dropped.
#[derive(Debug)]
pub struct InPlace {
    path: PathBuf,
    text: String,
}

impl Drop for InPlace {
    fn drop(&mut self) {
        // What is left behind by a failure here is put right when the copy is next refreshed.
        let _ = fs::write(&self.path, &self.text);
    }
}

impl Copy {
    /// The copy of `workspace` at `root`, brought up to date.
    ///
    /// Only files that differ are written, so that Cargo compiles only what changed.
    ///
    /// # Errors
    /// When a file cannot be read or written.
    pub fn refreshed(workspace: &Path, root: &Path) -> Result<Self, CloudError> {
        refresh(workspace, root).doing(format!("copying the sources to `{}`", root.display()))?;
        Ok(Self { root: root.to_path_buf() })
    }

    /// Where it lies.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Puts `fault` in.
    ///
    /// # Errors
    /// When it does not fit, or the file cannot be written.
    pub fn plant(&self, fault: &Planted) -> Result<InPlace, CloudError> {
        let path = self.root.join(fault.file);
        let text = fs::read_to_string(&path).doing(format!("reading `{}`", fault.file))?;
        let changed = fault
            .into_text(&text)
            .map_err(|misfit| CloudError::failed(misfit.to_string(), "see the list of faults".to_owned()))?;
        let in_place = InPlace { path, text };
        fs::write(&in_place.path, changed).doing(format!("writing `{}`", fault.file))?;
        Ok(in_place)
    }
}

/// Whether something of the workspace is no source: what was built, and what begins with a dot.
fn is_left_out(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name == "target" || name == "__pycache__" || name.starts_with('.') && name != ".cargo"
}

/// Makes `to` hold what `from` holds, and nothing else.
fn refresh(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut kept = BTreeSet::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if is_left_out(&name) || !(kind.is_dir() || kind.is_file()) {
            continue;
        }
        let (source, copy) = (entry.path(), to.join(&name));
        if kind.is_dir() {
            refresh(&source, &copy)?;
        } else {
            let text = fs::read(&source)?;
            if fs::read(&copy).ok().as_ref() != Some(&text) {
                fs::write(&copy, text)?;
            }
        }
        kept.insert(name);
    }
    remove_others(to, &kept)
}

fn remove_others(place: &Path, kept: &BTreeSet<OsString>) -> io::Result<()> {
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        if kept.contains(&entry.file_name()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cloud::folder::Folder;

    #[test]
    fn a_copy_follows_its_source_and_writes_only_what_changed() {
        let place = Folder::called("copy-test").local().to_path_buf();
        let (from, to) = (place.join("from"), place.join("to"));
        let _ = fs::remove_dir_all(&place);
        fs::create_dir_all(from.join("a/target")).expect("a folder");
        fs::write(from.join("a/kept.rs"), "1").expect("a file");
        fs::write(from.join("a/gone.rs"), "2").expect("a file");
        fs::write(from.join("a/target/built"), "3").expect("a file");
        refresh(&from, &to).expect("copied");
        let written = |name: &str| fs::metadata(to.join(name)).and_then(|m| m.modified()).ok();
        let before = written("a/kept.rs").expect("copied");
        assert!(written("a/target").is_none());
        fs::remove_file(from.join("a/gone.rs")).expect("removed");
        fs::write(to.join("a/strange.rs"), "4").expect("a file");
        refresh(&from, &to).expect("copied");
        assert_eq!(written("a/kept.rs"), Some(before));
        assert!(written("a/gone.rs").is_none() && written("a/strange.rs").is_none());
        fs::remove_dir_all(&place).expect("removed");
    }
}
