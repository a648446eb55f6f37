"""What the latent video models (`wan`, `ltx`) share.

layout              scene pictures as a model's video and back
vae                 order of axes, cancelling between blocks
prompts             text to embeddings
diffusers_folder    a model's folder, checked and loaded
"""
