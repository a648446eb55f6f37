"""Wan VACE and Wan-Fun-Control: video models that follow a control video and a reference picture.

Read in this order:

    prior               what it computes: encode, velocity, decode
    layout, vae         scene pictures as Wan's video, the video as latents
    networks, loader    the networks of a folder; a prior made ready for a request
    fun_control         the same for Wan-Fun-Control, from the files that its authors publish
    memory, cost        what fits into a card's memory, and the minutes a step costs
    apply_memory_plan   a memory plan carried out
    adapters            few-step adapters
    step_cache, measure_cache   extrapolated steps, and the error they make
"""
