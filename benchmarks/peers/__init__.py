"""Other Gaussian renderers that run without a GPU, for timing beside `ani3dhuman.rendering.rasterize`.

`setup.sh` installs each into its own environment, `.venv-peers/NAME`. Each `NAME.py` is a script for the Python of
that environment and imports nothing from this project: `python NAME.py scene.npz --repeats R`. It draws the scene to
warm up, then R times, and prints one line of JSON:

    {"forward_ms": [...], "forward_backward_ms": [...] or null, "image": "path of a float32 HxWx3 .npy"}

The scene has float32 arrays means (N,3), quats (N,4 wxyz), scales (N,3 linear), opacities (N,), colors (N,3), viewmat
(4,4 world to camera, OpenCV axes), K (3,3), and the integers width and height. Pictures are over black, colours as
given. Peers use as many threads as the process may use cores, so pin the process (`taskset`) to choose.
"""
