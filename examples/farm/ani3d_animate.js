// A job type for Flamenco 3: a file's character animated, and its frames rendered.
// Copy it into the `scripts` folder beside the Flamenco Manager. The extension has to be installed in the workers' Blender,
// or its zip named in `extension`. The engine runs where `endpoint` says; a worker needs nothing but Blender.

const JOB_TYPE = {
  label: "Ani3DHuman: animate and render",
  settings: [
    { key: "headless", type: "string", required: true, description: "blender_addon/headless.py as the workers see it" },
    { key: "endpoint", type: "string", default: "", description: "A running engine, or the file with its keys" },
    { key: "engine", type: "string", default: "ani3dhuman-engine", description: "Else the command that starts one" },
    { key: "extension", type: "string", default: "", description: "Zip of the extension, where it is not installed" },
    { key: "settings", type: "string", default: "", description: "Settings as JSON; empty for those of the file" },
    { key: "out", type: "string", subtype: "dir_path", required: true, description: "Folder for result and frames" },
    { key: "render", type: "bool", default: true, description: "Render the frames" },
    { key: "blendfile", type: "string", required: true, visible: "web", eval: "bpy.data.filepath" },
  ],
};

function compileJob(job) {
  const settings = job.settings;
  const words = [settings.blendfile, "--out", settings.out];
  for (const name of ["endpoint", "engine", "extension", "settings"]) {
    if (settings[name] && !(name == "engine" && settings.endpoint)) {
      words.push("--" + name, settings[name]);
    }
  }
  if (settings.render) {
    words.push("--render");
  }
  const task = author.Task("animate", "blender");
  task.addCommand(
    author.Command("exec", {
      exe: "{blender}",
      args: ["-b", "--python-exit-code", "1", "-P", settings.headless, "--"].concat(words),
    }),
  );
  job.addTask(task);
}
