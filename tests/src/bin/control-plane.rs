//! Finds or builds the programs of the test cluster, visibly, and prints where they are.

use anyhow::Result;
use latchkey_e2e::control_plane::ControlPlane;

#[tokio::main]
async fn main() -> Result<()> {
    let programs = ControlPlane::find().await?;
    for program in [&programs.etcd, &programs.kube_apiserver, &programs.kube_controller_manager, &programs.kubectl] {
        print(&program.display().to_string());
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the paths are this program's data")]
fn print(line: &str) {
    println!("{line}");
}
