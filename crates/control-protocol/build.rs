//! Compiles the protocol without an installed protoc.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=proto/control.proto");
    let files = protox::compile(["proto/control.proto"], ["proto"])?;
    // shared with what it was received in, or among those it goes to
    tonic_prost_build::configure()
        .bytes(".seawall.control.v1.ToNode")
        .compile_fds(files)?;
    Ok(())
}
