"use strict";
// Draws what page.py packed: Gaussians, meshes, bones over time. Places are metres, Z up.

const head = JSON.parse(document.getElementById("head").textContent);
const KINDS = { u1: Uint8Array, i1: Int8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array };
const PALETTE = [[0.85, 0.62, 0.5], [0.98, 0.8, 0.45], [0.55, 0.4, 0.85], [0.3, 0.65, 0.85]];
let arrays = {};

async function unpack(id, entries) {
  const response = await fetch("data:application/octet-stream;base64," + document.getElementById(id).textContent.trim());
  const stream = response.body.pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(stream).arrayBuffer();
  const found = {};
  for (const entry of entries) {
    const values = new KINDS[entry.kind](bytes, entry.start, entry.length);
    if (entry.change) for (let i = entry.change; i < values.length; i++) values[i] += values[i - entry.change];  // frame after frame
    found[entry.name] = values;
  }
  arrays = found;
}

function places(name, frame, out) {  // whole numbers of a frame back to metres
  const values = arrays[name], n = out.length, low = head.low, step = head.step;
  for (let i = 0, at = frame * n; i < n; i += 3, at += 3) {
    out[i] = low[0] + step * values[at]; out[i + 1] = low[1] + step * values[at + 1]; out[i + 2] = low[2] + step * values[at + 2];
  }
  return out;
}

const SPLAT_VERTEX = `
precision highp float; precision highp int; precision highp sampler2D;
uniform mat4 modelViewMatrix, projectionMatrix; uniform vec2 focal, size; uniform int wide;
uniform sampler2D means, quats, sizes, colors;
in vec2 corner; in uint order; out vec4 tint; out vec2 away;
void main() {
  ivec2 at = ivec2(int(order) % wide, int(order) / wide);
  vec4 mean = texelFetch(means, at, 0); vec4 q = texelFetch(quats, at, 0); vec3 s = texelFetch(sizes, at, 0).xyz;
  vec4 c = modelViewMatrix * vec4(mean.xyz, 1.0);
  gl_Position = vec4(0.0, 0.0, 2.0, 1.0);
  if (c.z > -0.05) return;
  mat3 R = mat3(1.0 - 2.0 * (q.z * q.z + q.w * q.w), 2.0 * (q.y * q.z + q.x * q.w), 2.0 * (q.y * q.w - q.x * q.z),
                2.0 * (q.y * q.z - q.x * q.w), 1.0 - 2.0 * (q.y * q.y + q.w * q.w), 2.0 * (q.z * q.w + q.x * q.y),
                2.0 * (q.y * q.w + q.x * q.z), 2.0 * (q.z * q.w - q.x * q.y), 1.0 - 2.0 * (q.y * q.y + q.z * q.z));
  mat3 M = mat3(modelViewMatrix) * R * mat3(s.x, 0, 0, 0, s.y, 0, 0, 0, s.z);
  mat3 V = M * transpose(M);
  vec3 jx = vec3(focal.x / -c.z, 0.0, focal.x * c.x / (c.z * c.z)), jy = vec3(0.0, focal.y / -c.z, focal.y * c.y / (c.z * c.z));
  float a = dot(jx, V * jx) + 0.05, b = dot(jx, V * jy), d = dot(jy, V * jy) + 0.05;
  float middle = 0.5 * (a + d), spread = sqrt(max(0.25 * (a - d) * (a - d) + b * b, 1e-12));
  float big = middle + spread, small = max(middle - spread, 1e-4);
  vec2 along = abs(b) > 1e-9 ? normalize(vec2(b, big - a)) : (a >= d ? vec2(1, 0) : vec2(0, 1));
  vec2 pixels = 3.0 * (corner.x * sqrt(big) * along + corner.y * sqrt(small) * vec2(-along.y, along.x));
  vec4 clip = projectionMatrix * c;
  gl_Position = clip + vec4(2.0 * pixels / size * clip.w, 0.0, 0.0);
  away = 3.0 * corner; tint = texelFetch(colors, at, 0);
}`;
const SPLAT_FRAGMENT = `
precision highp float; in vec4 tint; in vec2 away; out vec4 color;
void main() {
  float opacity = tint.a * exp(-0.5 * dot(away, away));
  if (opacity < 0.004) discard;
  color = vec4(tint.rgb * opacity, opacity);
}`;
const MESH_VERTEX = `
precision highp float; uniform mat4 modelViewMatrix, projectionMatrix; in vec3 position; in vec3 tint; out vec3 seen; out vec3 base;
void main() { vec4 p = modelViewMatrix * vec4(position, 1.0); seen = p.xyz; base = tint; gl_Position = projectionMatrix * p; }`;
const MESH_FRAGMENT = `
precision highp float; in vec3 seen; in vec3 base; out vec4 color;
void main() {
  vec3 n = normalize(cross(dFdx(seen), dFdy(seen)));
  float light = 0.35 + 0.65 * max(dot(n, normalize(vec3(0.35, 0.5, 0.8))), 0.0);
  color = vec4(base * light, 1.0);
}`;

class Splats {
  constructor() {
    this.count = head.splats;
    this.wide = Math.ceil(Math.sqrt(this.count));
    const cells = this.wide * this.wide;
    const texture = (data, type) => {
      const made = new THREE.DataTexture(data, this.wide, this.wide, THREE.RGBAFormat, type);
      made.needsUpdate = true;
      return made;
    };
    this.means = new Float32Array(3 * this.count);
    this.data = { means: new Float32Array(4 * cells), quats: new Float32Array(4 * cells), sizes: new Float32Array(4 * cells), colors: new Uint8Array(4 * cells) };
    for (let i = 0; i < this.count; i++) for (let k = 0; k < 3; k++) this.data.sizes[4 * i + k] = arrays.scale[3 * i + k];
    this.textures = Object.fromEntries(Object.entries(this.data).map(([name, data]) => [name, texture(data, name === "colors" ? undefined : THREE.FloatType)]));
    const geometry = new THREE.InstancedBufferGeometry();
    geometry.setAttribute("corner", new THREE.BufferAttribute(new Float32Array([-1, -1, 1, -1, 1, 1, -1, 1]), 2));
    geometry.setIndex([0, 1, 2, 0, 2, 3]);
    this.order = new THREE.InstancedBufferAttribute(new Uint32Array(this.count), 1);
    this.order.gpuType = THREE.UnsignedIntType;
    this.order.setUsage(THREE.DynamicDrawUsage);
    geometry.setAttribute("order", this.order);
    geometry.instanceCount = this.count;
    const uniforms = { focal: { value: new THREE.Vector2() }, size: { value: new THREE.Vector2() }, wide: { value: this.wide } };
    for (const name in this.textures) uniforms[name] = { value: this.textures[name] };
    this.material = new THREE.RawShaderMaterial({
      vertexShader: SPLAT_VERTEX, fragmentShader: SPLAT_FRAGMENT, glslVersion: THREE.GLSL3, uniforms, transparent: true, depthWrite: false,
      blending: THREE.CustomBlending, blendSrc: THREE.OneFactor, blendDst: THREE.OneMinusSrcAlphaFactor, side: THREE.DoubleSide,
    });
    this.object = new THREE.Mesh(geometry, this.material);
    this.object.frustumCulled = false;
    this.object.renderOrder = 2;
  }

  show(frame, regions) {
    const { means, quats, colors } = this.data, n = this.count;
    places("position", frame, this.means);
    const turned = arrays.rotation, seen = arrays.color, at = head.still ? 0 : frame;
    for (let i = 0; i < n; i++) {
      for (let k = 0; k < 3; k++) means[4 * i + k] = this.means[3 * i + k];
      let length = 0;
      for (let k = 0; k < 4; k++) { const v = turned[4 * (frame * n + i) + k]; quats[4 * i + k] = v; length += v * v; }
      length = Math.sqrt(length) || 1;
      for (let k = 0; k < 4; k++) { quats[4 * i + k] /= length; colors[4 * i + k] = seen[4 * (at * n + i) + k]; }
      if (regions && arrays.splat_region) for (let k = 0; k < 3; k++) colors[4 * i + k] = 255 * PALETTE[arrays.splat_region[i]][k];
    }
    for (const name of ["means", "quats", "colors"]) this.textures[name].needsUpdate = true;
    if (!this.sized) { this.textures.sizes.needsUpdate = true; this.sized = true; }
  }

  sort(camera) {  // far ones first, by counting
    const m = new THREE.Matrix4().multiplyMatrices(camera.matrixWorldInverse, this.object.matrixWorld).elements, n = this.count, p = this.means;
    const depths = new Float32Array(n);
    let low = Infinity, high = -Infinity;
    for (let i = 0; i < n; i++) {
      const depth = m[2] * p[3 * i] + m[6] * p[3 * i + 1] + m[10] * p[3 * i + 2];
      depths[i] = depth; low = Math.min(low, depth); high = Math.max(high, depth);
    }
    const bins = 65536, scale = (bins - 1) / Math.max(high - low, 1e-9), starts = new Uint32Array(bins + 1);
    for (let i = 0; i < n; i++) starts[1 + ((depths[i] - low) * scale | 0)]++;
    for (let b = 0; b < bins; b++) starts[b + 1] += starts[b];
    for (let i = 0; i < n; i++) this.order.array[starts[(depths[i] - low) * scale | 0]++] = i;
    this.order.needsUpdate = true;
  }
}

class Body {
  constructor(name) {
    this.name = name;
    const geometry = new THREE.BufferGeometry(), count = head.vertices;
    this.position = new THREE.BufferAttribute(new Float32Array(3 * count), 3);
    this.tint = new THREE.BufferAttribute(new Float32Array(3 * count), 3);
    geometry.setAttribute("position", this.position);
    geometry.setAttribute("tint", this.tint);
    geometry.setIndex(new THREE.BufferAttribute(arrays.faces, 1));
    const material = new THREE.RawShaderMaterial({ vertexShader: MESH_VERTEX, fragmentShader: MESH_FRAGMENT, glslVersion: THREE.GLSL3, side: THREE.DoubleSide });
    this.object = new THREE.Mesh(geometry, material);
    this.object.frustumCulled = false;
  }

  show(frame, regions) {
    places(this.name, frame, this.position.array);
    for (let i = 0; i < head.vertices; i++) for (let k = 0; k < 3; k++)
      this.tint.array[3 * i + k] = regions ? PALETTE[arrays.region[i]][k] : arrays.vertex_color[3 * i + k] / 255;
    this.position.needsUpdate = this.tint.needsUpdate = true;
  }
}

class Lines {
  constructor(segments, color) {
    const geometry = new THREE.BufferGeometry();
    this.position = new THREE.BufferAttribute(new Float32Array(6 * segments), 3);
    geometry.setAttribute("position", this.position);
    this.object = new THREE.LineSegments(geometry, new THREE.LineBasicMaterial({ color, depthTest: false, transparent: true }));
    this.object.frustumCulled = false;
    this.object.renderOrder = 3;
  }
}

class Viewer {
  constructor() {
    this.renderer = new THREE.WebGLRenderer({ antialias: true, preserveDrawingBuffer: true });
    this.renderer.setClearColor(0x24262b);
    document.body.prepend(this.renderer.domElement);
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(35, 1, 0.01, 1000);
    this.camera.up.set(0, 0, 1);
    this.controls = new THREE.OrbitControls(this.camera, this.renderer.domElement);
    this.controls.addEventListener("change", () => { this.dirty = true; });
    const grid = new THREE.GridHelper(2 * Math.ceil(2 * head.size), 4 * Math.ceil(2 * head.size), 0x555a63, 0x383b42);
    grid.rotation.x = Math.PI / 2;
    grid.position.set(head.aim[0], head.aim[1], head.ground);
    this.scene.add(grid);
    this.layers = {};
    if (head.splats) this.layers.splats = new Splats();
    for (const name of ["result", "rigid"]) if (arrays[name]) this.layers[name] = new Body(name);
    if (arrays.bones) this.layers.skeleton = new Lines(head.bones, 0xffd166);
    if (arrays.result && arrays.rigid) this.layers.arrows = new Lines(Math.ceil(head.vertices / head.every), 0xff5c5c);
    this.shown = { splats: !!head.splats, result: !head.splats && !!arrays.result, rigid: !head.splats && !arrays.result, apart: false, regions: false, skeleton: false, arrows: false };
    for (const layer of Object.values(this.layers)) this.scene.add(layer.object);
    this.frame = 0;
    this.loaded = 1;  // frames
    this.playing = false;
    this.wire();
    this.resize();
    this.home();
    this.refresh();
  }

  wire() {
    document.getElementById("name").textContent = head.name;
    this.time = document.getElementById("time");
    this.time.max = head.frames - 1;
    this.time.addEventListener("input", () => this.go(+this.time.value));
    document.getElementById("play").addEventListener("click", () => this.play());
    document.getElementById("home").addEventListener("click", () => this.home());
    document.getElementById("shot").addEventListener("click", () => this.screenshot());
    for (const box of document.querySelectorAll("[data-show]")) {
      const what = box.dataset.show;
      const there = what === "apart" ? Object.keys(this.layers).length > 1 : what === "regions" ? !!(arrays.region || arrays.splat_region) : !!this.layers[what];
      box.checked = this.shown[what];
      box.disabled = !there;
      box.parentElement.classList.toggle("off", !there);
      box.addEventListener("change", () => { this.shown[what] = box.checked; this.refresh(); });
    }
    addEventListener("resize", () => this.resize());
    addEventListener("keydown", (event) => {
      if (event.code === "Space") { event.preventDefault(); this.play(); }
      if (event.code === "ArrowRight") this.go((this.frame + 1) % head.frames);
      if (event.code === "ArrowLeft") this.go((this.frame + head.frames - 1) % head.frames);
    });
  }

  resize() {
    const width = innerWidth, height = innerHeight;
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.setSize(width, height);
    this.camera.aspect = width / height;
    this.camera.updateProjectionMatrix();
    this.dirty = true;
  }

  home() {
    const away = 0.78 * head.size / Math.tan(Math.PI * this.camera.fov / 360);
    this.controls.target.set(...head.aim);
    this.camera.position.set(head.aim[0] + 0.25 * away, head.aim[1] - away, head.aim[2] + 0.12 * away);
    this.controls.update();
    this.dirty = true;
  }

  play() {
    this.playing = !this.playing;
    this.began = performance.now() - 1000 * this.frame / head.fps;
    document.getElementById("play").textContent = this.playing ? "pause" : "play";
  }

  go(frame) {
    frame = Math.min(frame, this.loaded - 1);
    this.frame = frame;
    this.began = performance.now() - 1000 * frame / head.fps;
    this.refresh();
  }

  refresh() {
    const { shown, layers, frame } = this;
    this.time.value = frame;
    document.getElementById("frame").textContent = `frame ${head.start + frame}`;
    const visible = ["splats", "result", "rigid"].filter((name) => layers[name] && shown[name]);
    visible.forEach((name, k) => {
      layers[name].show(frame, shown.regions);
      layers[name].object.position.x = shown.apart ? (k - (visible.length - 1) / 2) * head.apart : 0;
    });
    for (const name in layers) layers[name].object.visible = !!shown[name];
    const x = shown.apart && visible.length ? layers[visible[0]].object.position.x : 0;
    if (layers.skeleton && shown.skeleton) {
      layers.skeleton.position.array.set(arrays.bones.subarray(6 * head.bones * frame, 6 * head.bones * (frame + 1)));
      layers.skeleton.position.needsUpdate = true;
      layers.skeleton.object.position.x = x;
    }
    if (layers.arrows && shown.arrows) {
      const a = places("rigid", frame, new Float32Array(3 * head.vertices)), b = places("result", frame, new Float32Array(3 * head.vertices));
      const out = layers.arrows.position.array;
      for (let i = 0, o = 0; i < head.vertices; i += head.every, o += 6)
        for (let k = 0; k < 3; k++) { out[o + k] = a[3 * i + k]; out[o + 3 + k] = b[3 * i + k]; }
      layers.arrows.position.needsUpdate = true;
      layers.arrows.object.position.x = x;
    }
    this.dirty = true;
  }

  draw() {
    if (this.playing) {
      const frame = Math.floor((performance.now() - this.began) * head.fps / 1000) % this.loaded;
      if (frame !== this.frame) { this.frame = frame; this.refresh(); }
    }
    if (!this.dirty) return;
    this.dirty = false;
    this.camera.updateMatrixWorld();
    this.scene.updateMatrixWorld();
    const splats = this.layers.splats;
    if (splats && this.shown.splats) {
      const size = this.renderer.getDrawingBufferSize(new THREE.Vector2());
      const focal = size.y / 2 / Math.tan(Math.PI * this.camera.fov / 360);
      splats.material.uniforms.focal.value.set(focal, focal);
      splats.material.uniforms.size.value.copy(size);
      splats.sort(this.camera);
    }
    this.renderer.render(this.scene, this.camera);
  }

  screenshot() {
    this.dirty = true;
    this.draw();
    const link = document.createElement("a");
    link.download = `${head.name}.${String(head.start + this.frame).padStart(4, "0")}.png`;
    link.href = this.renderer.domElement.toDataURL("image/png");
    link.click();
  }
}

unpack("early", head.early).then(async () => {  // the first frame is seen before all of them are unpacked
  const viewer = window.viewer = new Viewer();
  const wanted = new URLSearchParams(location.hash.slice(1));  // #show=result,apart&frame=12
  if (wanted.has("show")) {
    for (const name in viewer.shown) viewer.shown[name] = wanted.get("show").split(",").includes(name);
    for (const box of document.querySelectorAll("[data-show]")) box.checked = viewer.shown[box.dataset.show];
  }
  viewer.go(0);
  viewer.draw();
  document.body.dataset.ready = Math.round(performance.now());
  const loop = () => { viewer.draw(); requestAnimationFrame(loop); };
  loop();
  await new Promise((resolve) => setTimeout(resolve, 30));
  await unpack("data", head.arrays);
  viewer.loaded = head.frames;
  viewer.go(Math.min(head.frames - 1, Math.max(0, (+wanted.get("frame") || head.start) - head.start)));
}).catch((error) => { document.getElementById("note").textContent = `cannot be shown: ${error}`; });
