//! Container images in OCI's layout, made by tar and by hand.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{can_run_containers, rootfs, text};

/// Runs a program of the host in `dir`, and returns what it printed.
pub(crate) fn run(dir: &Path, program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Makes a root with busybox in `dir/root`.
pub(crate) fn root(dir: &Path) -> Option<PathBuf> {
    let root = dir.join("root");
    fs::create_dir(&root).unwrap();
    (can_run_containers() && rootfs::busybox(&root)).then_some(root)
}

/// An OCI layout in the making.
pub(crate) struct Layout {
    pub(crate) dir: PathBuf,
}

impl Layout {
    pub(crate) fn new(dir: &Path) -> Self {
        let dir = dir.join("layout");
        fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        Self { dir }
    }

    /// Adds a part, and returns its description.
    pub(crate) fn blob(&self, bytes: &[u8]) -> Value {
        let draft = self.dir.join("draft");
        fs::write(&draft, bytes).unwrap();
        let sum = run(&self.dir, "sha256sum", &["draft"]);
        let hex = sum.split(' ').next().unwrap();
        fs::rename(&draft, self.dir.join("blobs/sha256").join(hex)).unwrap();
        json!({ "mediaType": "x", "digest": format!("sha256:{hex}"), "size": bytes.len() })
    }

    pub(crate) fn json(&self, value: &Value) -> Value {
        self.blob(value.to_string().as_bytes())
    }

    /// Adds an image of the layers, each a directory, and makes it the only one.
    pub(crate) fn image(&self, layers: &[&Path], config: &Value) {
        let mut blobs = Vec::new();
        let mut diffs = Vec::new();
        for layer in layers {
            let plain = self.dir.join("layer.tar");
            run(layer, "tar", &["-cf", plain.to_str().unwrap(), "."]);
            let sum = run(&self.dir, "sha256sum", &["layer.tar"]);
            diffs.push(format!("sha256:{}", sum.split(' ').next().unwrap()));
            run(&self.dir, "gzip", &["-f", "layer.tar"]);
            blobs.push(self.blob(&fs::read(self.dir.join("layer.tar.gz")).unwrap()));
            fs::remove_file(self.dir.join("layer.tar.gz")).unwrap();
        }
        let whole = json!({ "os": "linux", "config": config, "rootfs": { "diff_ids": diffs } });
        let manifest = json!({ "config": self.json(&whole), "layers": blobs });
        let index = json!({ "manifests": [self.json(&manifest)] });
        fs::write(self.dir.join("index.json"), index.to_string()).unwrap();
    }
}
