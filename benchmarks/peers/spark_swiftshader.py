"""Times Spark, the WebGL renderer for three.js, in headless Chromium whose WebGL runs on the CPU (SwiftShader).

Forward only. A frame is what Spark does when the camera or a Gaussian has moved: prepare the Gaussians, sort them by
depth (WebAssembly), draw, read the pixels back. Spark packs a Gaussian into 16 bytes and the canvas has 8 bits a
channel, so pictures agree with a float rasteriser only to about that precision.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from shutil import which

import numpy as np

NEAR, FAR, LIMIT_S = 0.01, 1000.0, 300
FLAGS = [
    "--headless=new", "--no-sandbox", "--no-first-run", "--use-gl=angle", "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--disable-dev-shm-usage",
]  # fmt: skip
PAGE = """<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,">
<script type="importmap">{"imports": {
  "three": "/node_modules/three/build/three.module.js",
  "three/addons/": "/node_modules/three/examples/jsm/",
  "fflate": "/node_modules/fflate/esm/browser.js",
  "@sparkjsdev/spark": "/node_modules/@sparkjsdev/spark/dist/spark.module.js"}}</script>
<script type="module">
const tell = (body) => fetch("/result", {method: "POST", body});
const fail = (error) => tell(JSON.stringify({error: String(error?.stack ?? error)}));
addEventListener("error", (event) => fail(event.message));
addEventListener("unhandledrejection", (event) => fail(event.reason));
try {
  const THREE = await import("three");
  const {PackedSplats, SparkRenderer, SplatMesh} = await import("@sparkjsdev/spark");
  const about = await (await fetch("/scene.json")).json();
  const numbers = new Float32Array(await (await fetch("/scene.bin")).arrayBuffer());

  const renderer = new THREE.WebGLRenderer({antialias: false, preserveDrawingBuffer: true});
  renderer.setPixelRatio(1);
  renderer.setSize(about.width, about.height);
  renderer.setClearColor(0x000000, 1);
  document.body.append(renderer.domElement);
  const gl = renderer.getContext();
  const device = gl.getParameter(gl.getExtension("WEBGL_debug_renderer_info").UNMASKED_RENDERER_WEBGL);

  const camera = new THREE.PerspectiveCamera();
  camera.near = about.near;
  camera.far = about.far;
  camera.matrixAutoUpdate = false;
  camera.matrix.set(...about.cameraToWorld);
  camera.updateMatrixWorld(true);
  camera.projectionMatrix.set(...about.projection);
  camera.projectionMatrixInverse.copy(camera.projectionMatrix).invert();

  const scene = new THREE.Scene();
  const spark = new SparkRenderer({
    renderer, autoUpdate: false, enableLod: false, sortRadial: false, preBlurAmount: 0.3, blurAmount: 0,
    maxStdDev: 3.33, minAlpha: 1 / 255});
  scene.add(spark);
  const count = numbers.length / 14;
  const packedSplats = new PackedSplats({maxSplats: count});
  const [centre, scales, turn, color] =
    [new THREE.Vector3(), new THREE.Vector3(), new THREE.Quaternion(), new THREE.Color()];
  for (let i = 0; i < numbers.length; i += 14) {
    centre.fromArray(numbers, i);
    turn.set(numbers[i + 4], numbers[i + 5], numbers[i + 6], numbers[i + 3]).normalize();
    scales.fromArray(numbers, i + 7);
    [color.r, color.g, color.b] = numbers.subarray(i + 11, i + 14);
    packedSplats.pushSplat(centre, scales, turn, numbers[i + 10], color);
  }
  const mesh = new SplatMesh({packedSplats});
  await mesh.initialized;
  scene.add(mesh);

  const pixels = new Uint8Array(about.width * about.height * 4);
  const times = [];
  for (let frame = -3; frame < about.repeats; frame++) {
    const start = performance.now();
    await spark.update({scene, camera});
    renderer.render(scene, camera);
    gl.readPixels(0, 0, about.width, about.height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
    if (frame >= 0) times.push(performance.now() - start);
  }
  await fetch("/pixels", {method: "POST", body: pixels});
  await tell(JSON.stringify({times, device, drawn: spark.activeSplats}));
} catch (error) { await fail(error); }
</script>"""


def describe(scene: dict[str, np.ndarray], repeats: int) -> dict[str, object]:
    """The camera in OpenGL's terms, row by row, and what else the page needs besides the Gaussians."""
    width, height, K = int(scene["width"]), int(scene["height"]), scene["K"].astype(float)
    to_world = np.linalg.inv(scene["viewmat"].astype(float)) @ np.diag([1.0, -1.0, -1.0, 1.0])
    projection = np.array([
        [2 * K[0, 0] / width, 0, 1 - 2 * K[0, 2] / width, 0],
        [0, 2 * K[1, 1] / height, 2 * K[1, 2] / height - 1, 0],
        [0, 0, -(FAR + NEAR) / (FAR - NEAR), -2 * FAR * NEAR / (FAR - NEAR)],
        [0, 0, -1, 0],
    ])  # fmt: skip
    camera = {"cameraToWorld": to_world.ravel().tolist(), "projection": projection.ravel().tolist()}
    return {"width": width, "height": height, "near": NEAR, "far": FAR, "repeats": repeats, **camera}


class Pages(SimpleHTTPRequestHandler):
    """Serves the page, the scene and node_modules, and takes the answer; everything stays on this machine."""

    contents: dict[str, tuple[str, bytes]]
    answers: dict[str, bytes]
    done: threading.Event

    def do_GET(self) -> None:
        """A page of ours, else a file of node_modules."""
        if self.path not in self.contents:
            return super().do_GET()
        kind, body = self.contents[self.path]
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Keep what the page sends; its result is the last thing."""
        self.answers[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
        if self.path == "/result":
            self.done.set()

    def log_message(self, *_: object) -> None:
        """Stay quiet: stdout and stderr are the caller's."""


def draw_in_browser(scene: dict[str, np.ndarray], repeats: int, root: Path) -> tuple[dict[str, object], bytes]:
    """What the page measured, and its picture as RGBA bytes, bottom row first."""
    browser = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := which(name))), None)
    if browser is None:
        raise SystemExit("Spark needs Chromium (Debian: chromium)")
    fields = [scene["means"], scene["quats"], scene["scales"], scene["opacities"][:, None], scene["colors"]]
    Pages.contents = {
        "/": ("text/html", PAGE.encode()),
        "/scene.json": ("application/json", json.dumps(describe(scene, repeats)).encode()),
        "/scene.bin": ("application/octet-stream", np.concatenate(fields, 1).astype("<f4").tobytes()),
    }
    Pages.answers, Pages.done = {}, threading.Event()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Pages, directory=str(root)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [browser, *FLAGS, f"--user-data-dir={profile}", f"http://127.0.0.1:{server.server_port}/"]
        home, nowhere = {**os.environ, "HOME": profile}, subprocess.DEVNULL
        process = subprocess.Popen(command, env=home, stdout=nowhere, stderr=nowhere)
        try:
            if not Pages.done.wait(LIMIT_S):
                raise SystemExit(f"Chromium gave no answer in {LIMIT_S} s")
        finally:
            process.terminate()
            process.wait(30)
            server.shutdown()
    return json.loads(Pages.answers["/result"]), Pages.answers.get("/pixels", b"")


def main() -> None:
    """Draw, time, print the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scene", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    with np.load(arguments.scene) as file:
        scene = dict(file)
    result, pixels = draw_in_browser(scene, arguments.repeats, Path(sys.prefix))
    if "error" in result:
        raise SystemExit(f"Spark failed in the browser: {result['error']}")
    if "SwiftShader" not in str(result["device"]):
        raise SystemExit(f"Chromium drew with {result['device']}, not with SwiftShader on the CPU")
    picture = np.frombuffer(pixels, np.uint8).reshape(int(scene["height"]), int(scene["width"]), 4)
    image = arguments.scene.with_name(f"{arguments.scene.stem}_spark.npy").absolute()
    np.save(image, picture[::-1, :, :3].astype(np.float32) / 255)
    print(json.dumps({"forward_ms": result["times"], "forward_backward_ms": None, "image": str(image)}))


if __name__ == "__main__":
    main()
