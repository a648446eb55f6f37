# Two commands do all set-up: `make demo` runs the main job, `make test` passes the tests.
PYTHON ?= python3.11
TORCH ?= torch==2.13.0
PYTHON313 ?= python3.13
BPY ?= 5.0.1
PIP = -m pip install --quiet --disable-pip-version-check
LOCK = .venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --custom-compile-command "make lock"

BLENDER_TESTS = tests/blender tests/test_demo_scene.py tests/cloth_truth/test_simulation.py
# what Blender's releases change: actions, cameras, materials, splats, hair, modifiers, panels, how an extension is installed
BY_VERSION = camera coarse_pictures corner_normals export extension facing film hair_in_shots misuse_character \
	modifiers motion_blur on_original panels parts playback round_trip strands surface_faults surface_gloss surfaces \
	takes view_transform viewport_points views views_colors views_identity
export PYTHON PYTHON313

.PHONY: chaos bench-engine bench-farm demo test test-blender gui-test extension wheel lint lock bench-characters bench-film bench-cloth bench-job gpu-check bench-fabrics bench-lights bench-render bench-physics bench-formats bench-playback bench-refine cloth-truth clean

# exactly the releases of the lock; torch by itself, since its release for CUDA, Metal or the CPU is the machine's choice
.venv/.ready: pyproject.toml requirements/engine.txt
	@echo "Making the engine's environment (.venv)"
	$(PYTHON) -m venv .venv
	.venv/bin/python $(PIP) --no-deps -r requirements/engine.txt
	.venv/bin/python $(PIP) "$(TORCH)"
	.venv/bin/python $(PIP) --no-deps --no-build-isolation -e .
	.venv/bin/python -m pip check
	.venv/bin/ani3dhuman compile
	@touch $@

.venv-blender-%/.ready: tools/blender_environment.sh tools/system_packages.sh requirements/blender.txt
	@tools/blender_environment.sh $*

# the environment of the demo and the data scripts: a link to that of one version
.venv-blender/.ready: .venv-blender-5.0.1/.ready
	@[ -L .venv-blender ] || rm -rf .venv-blender
	@ln -sfn .venv-blender-5.0.1 .venv-blender

demo: .venv/.ready .venv-blender/.ready
	.venv/bin/python examples/demo/run.py $(ARGS)

lint: .venv/.ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/python -m tools.shape

# two files at a time, each with one thread; in the newest Blender what may differ there
test: .venv/.ready .venv-blender/.ready lint
	.venv/bin/python -m pytest -m "not blender" -n 2 --dist loadfile tests
	$(MAKE) test-blender BPY=5.0.1
	@if tools/blender_environment.sh --python 5.3.0 >/dev/null; then \
		$(MAKE) test-blender BPY=5.3.0 BLENDER_TESTS="$(BY_VERSION:%=tests/blender/test_%.py)"; \
	else echo "The tests in Blender 5.3.0 were not run, for want of that Python; all others passed."; fi

# all tests that run inside Blender, in the version of your choice: make test-blender BPY=5.3.0; two files at a time
test-blender: .venv/.ready .venv-blender-$(BPY)/.ready
	.venv-blender-$(BPY)/bin/python -m pytest -m blender -p no:cacheprovider -n 2 --dist loadfile $(BLENDER_TESTS)

# what a person does with the extension, in a real window of Blender on a virtual screen; STEP=name does one alone.
# Without BLENDER=/path/to/blender (and xvfb-run) a small Debian sid is installed below build, which takes root
gui-test: .venv/.ready .venv-blender/.ready
	.venv/bin/python -m tests.gui.run $(STEP) $(if $(BLENDER),--blender $(BLENDER)) $(ARGS)

# the extension for all platforms, and a repository that any web server can offer: dist/extension/index.json
extension: .venv/.ready .venv-blender/.ready
	.venv/bin/python -m tools.build_extension --out dist/extension --platforms all --index

# the engine as a wheel and an sdist in dist, both tried in a fresh environment (4 GB, some minutes)
wheel: .venv/.ready
	TORCH="$(TORCH)" .venv/bin/python -m tools.build_wheel --out dist $(ARGS)

# writes the lock anew, with the newest releases that pyproject.toml allows
lock:
	test -x .venv/bin/uv || { $(PYTHON) -m venv .venv && .venv/bin/python $(PIP) uv; }
	echo "$(TORCH)" | $(LOCK) pyproject.toml --extra dev --constraints - --excludes requirements/cuda.txt \
		--no-emit-package torch --output-file requirements/engine.txt
	printf 'pytest\npytest-xdist\n' | $(LOCK) - --output-file requirements/blender.txt

out/demo/shot.npz:
	$(MAKE) demo ARGS="--preset draft"

# PEERS=1 installs and times other renderers too (1.6 GB)
bench-render: .venv/.ready out/demo/shot.npz
	@if [ -n "$(PEERS)" ]; then benchmarks/peers/setup.sh; fi
	.venv/bin/python -m benchmarks.render.run $(if $(PEERS),--peers) $(ARGS)

# everybody's characters with default settings: pictures side by side, kinds of faults and of misuse, times, all beside
# their bars. A run that was stopped goes on; ARGS=--again begins anew
bench-characters: .venv/.ready .venv-blender/.ready
	.venv/bin/python -m benchmarks.characters.run $(ARGS)

# light on true albedo beside Cycles' pictures, under suns, an area, a spot and a picture of a studio
bench-lights: .venv/.ready .venv-blender/.ready
	.venv/bin/python -m benchmarks.lights.run $(ARGS)

# the demo's avatar beside Cycles' own pictures of the same meshes
bench-avatar: .venv/.ready .venv-blender/.ready
	.venv/bin/python -m benchmarks.avatar.run $(ARGS)

# fabrics in the laboratory: drape and bending length
bench-fabrics: .venv/.ready
	.venv/bin/python -m benchmarks.fabrics $(ARGS)

bench-physics: .venv/.ready
	.venv/bin/python -m benchmarks.physics $(ARGS)

# cloth where it is hard: a set of sequences, and a judge that is not ours
bench-cloth: .venv/.ready
	.venv/bin/python -m benchmarks.cloth $(ARGS)

# Gaussians in other programs' formats: speed, readers of others (needs Node.js), damaged files, the dancer taken in
bench-formats: .venv/.ready out/demo/shot.npz
	.venv/bin/python -m benchmarks.formats $(ARGS)

# film frames merged with Blender's picture, and Gaussians as Blender draws them: ARGS="film", ARGS="gaussians --python ..."
bench-film: .venv/.ready .venv-blender/.ready
	.venv/bin/python -m benchmarks.film.run $(ARGS)

# what the engine survives: kills, damage, fuzz, full disks, crowds; ARGS=--quick for a tenth of it, ARGS="kills" for a
# part; may be stopped and started again
chaos: .venv/.ready
	.venv/bin/python -m benchmarks.engine.chaos $(ARGS)

bench-engine: .venv/.ready
	.venv/bin/python -m benchmarks.engine.speed $(ARGS)

# a Ray cluster of two workers here, one killed in mid-job; needs the extra ani3dhuman[farm]
bench-farm: .venv/.ready
	.venv/bin/python -m benchmarks.engine.farm

# whether all is right on this machine's CUDA card, how fast, and whether the predictions were right; eight minutes
gpu-check: .venv/.ready
	.venv/bin/python -m benchmarks.gpu $(ARGS)

# whole jobs: memory, disk and seconds by length and size, beside an earlier commit, and what presets are worth; may be
# stopped and started again. ARGS=full for 250 frames at 1080x1920
bench-job: .venv/.ready out/demo/shot.npz
	.venv/bin/python -m benchmarks.job $(ARGS)

bench-playback: .venv-blender/.ready
	.venv-blender/bin/python -m benchmarks.playback $(ARGS)

# how well the residual field learns cloth, on sequences of Cloth Truth; may be stopped and started again
bench-refine: .venv/.ready
	$(MAKE) cloth-truth
	.venv/bin/python -m benchmarks.refine.run
	.venv/bin/python -m benchmarks.refine.restored
	.venv/bin/python -m benchmarks.refine.speed
	.venv/bin/python -m benchmarks.refine.report

# clothed humans with true cloth motion from Blender's solver; about an hour, may be stopped and started again
cloth-truth: .venv/.ready .venv-blender/.ready
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 .venv/bin/python -m cloth_truth.generate $(ARGS)

clean:
	rm -rf out dist build
