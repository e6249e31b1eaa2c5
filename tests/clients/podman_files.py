"""podman's ways to put files into a container: volumes and their options, images, secrets, root file systems."""

import os
import re

from tests.integration.host import read

from .flows import shared_folder, start
from .images import NAME
from .podman_flows import collector, run

FILES, case = collector()


def mount_line(cli, point, *flags):
    """The line of mountinfo that a container has for `point`."""
    lines = run(cli, *flags, NAME, "grep", " %s " % point, "/proc/self/mountinfo").splitlines()
    assert lines, "nothing is mounted at " + point
    return lines[-1]


def give(cli, path):
    """Make `path` and what is in it the engine's user's."""
    owner = os.stat(cli.folder)
    for base, folders, files in os.walk(path):
        for name in (".", *folders, *files):
            os.lchown(os.path.join(base, name), owner.st_uid, owner.st_gid)


@case()
def volume_options_are_those_of_the_mount(cli):
    path = shared_folder(cli)
    for words, wanted in (
        ("ro", {"ro"}),
        ("nosuid,nodev,noexec", {"nosuid", "nodev", "noexec"}),
        ("rw,nodev", {"rw"}),
    ):
        line = mount_line(cli, "/v", "-v", "%s:/v:%s" % (path, words))
        assert wanted <= set(line.split()[5].split(",")), line


@case()
def volumes_do_not_execute_with_noexec(cli):
    path = shared_folder(cli)
    with open(path + "/script", "w") as file:
        file.write("#!/bin/sh\necho ran\n")
    os.chmod(path + "/script", 0o755)
    assert run(cli, "-v", path + ":/v", NAME, "/v/script") == "ran\n"
    cli("run", "--rm", "-v", path + ":/v:noexec", NAME, "/v/script").failed(126, "permission denied")


@case("rootless")  # podman's own mounts are private there
def volumes_propagate_as_they_say(cli):
    path = shared_folder(cli)
    for word, wanted in (("rslave", "master:"), ("rprivate", "")):
        fields = mount_line(
            cli, "/v", "--mount", "type=bind,src=%s,dst=/v,bind-propagation=%s" % (path, word)
        ).split(" - ")
        tags = " ".join(fields[0].split()[6:])
        assert tags.startswith(wanted) and bool(tags) == bool(wanted), (word, tags)


@case()
def volumes_with_labels_where_there_is_no_selinux(cli):
    path = shared_folder(cli)
    for word in ("z", "ro,Z"):
        assert run(cli, "-v", "%s:/v:%s" % (path, word), NAME, "echo", "fine") == "fine\n"


@case()
def volumes_overlaid_keep_what_is_below(cli):
    path = shared_folder(cli)
    with open(path + "/x", "w") as file:
        file.write("below\n")
    give(cli, path)
    script = "cat /v/x; echo over > /v/x; cat /v/x"
    assert run(cli, "-v", path + ":/v:O", NAME, "sh", "-c", script) == "below\nover\n"
    assert read(path + "/x") == "below\n"


@case()
def volumes_change_owner_with_u(cli):
    path = os.path.join(cli.folder, "given")
    os.mkdir(path)
    give(cli, path)
    out = run(
        cli, "-v", path + ":/v:U", "--user", "1000:1000", NAME, "sh", "-c", "stat -c %u:%g /v; touch /v/x; echo $?"
    )
    assert out == "1000:1000\n0\n"


@case()
def volumes_of_another_container(cli):
    start(cli, "-v", "/kept", args=("sh", "-c", "echo y > /kept/x; sleep 1000"), name="first")
    assert run(cli, "--volumes-from", "first", NAME, "sh", "-c", "sleep 0.2; cat /kept/x") == "y\n"
    script = "cat /kept/x; touch /kept/z"
    cli("run", "--rm", "--volumes-from", "first:ro", NAME, "sh", "-c", script).failed(1, "y\n", "Read-only")


@case()
def volumes_take_what_the_image_has(cli):
    assert run(cli, "-v", "filled:/data", NAME, "cat", "/data/file") == "from the image\n"
    assert run(cli, "-v", "empty:/data:nocopy", NAME, "ls", "/data") == ""
    cli("volume", "rm", "filled", "empty").ok()


@case()
def images_are_mounted(cli):
    out = run(cli, "--mount", "type=image,src=%s,dst=/image" % NAME, NAME, "cat", "/image/data/file")
    assert out == "from the image\n"


@case()
def secrets_are_mounted(cli):
    cli("secret", "create", "password", "-", send="hidden").ok()
    try:
        script = "cat /run/secrets/password; stat -c %u:%a /run/secrets/other"
        flags = ["--secret", "password", "--secret", "source=password,target=other,uid=7,mode=400"]
        assert run(cli, *flags, NAME, "sh", "-c", script) == "hidden7:400\n"
        assert run(cli, "--secret", "password,type=env,target=P", NAME, "sh", "-c", "echo $P") == "hidden\n"
    finally:
        cli("secret", "rm", "password")


@case()
def files_are_mounted_over_files(cli):
    path = shared_folder(cli) + "/x"
    with open(path, "w") as file:
        file.write("given\n")
    assert run(cli, "-v", path + ":/etc/plain", NAME, "cat", "/etc/plain") == "given\n"
    assert run(cli, "-v", path + ":/new/deep/file", NAME, "cat", "/new/deep/file") == "given\n"


@case()
def folders_are_made_below_links(cli):
    """The image's /var/run is a folder of its own: a link in the way must stay inside (CVE-2021-30465's shape)."""
    path = shared_folder(cli)
    folder = cli.folder + "/image"
    os.mkdir(folder)
    with open(folder + "/Dockerfile", "w") as file:
        file.write("FROM %s\nRUN ln -s /../../../../data /out && ln -s /proc/self/root/etc /magic\n" % NAME)
    cli("build", "--tag", "linked:1", folder).ok()
    try:
        assert run(cli, "-v", path + ":/out/deep", "linked:1", "ls", "/data") == "deep\nfile\n"
    finally:
        cli("rmi", "--force", "linked:1").ok()


@case()
def tmpfs_takes_what_the_image_has(cli):
    assert run(cli, "--tmpfs", "/data", NAME, "cat", "/data/file") == "from the image\n"
    assert run(cli, "--tmpfs", "/data:notmpcopyup", NAME, "ls", "/data") == ""
    line = mount_line(cli, "/t", "--mount", "type=tmpfs,dst=/t,tmpfs-size=2m,tmpfs-mode=1700,ro")
    assert "size=2048k" in line
    assert "mode=1700" in line


@case("rootless")  # what is mounted below is locked there, and must not come to light
def binds_without_what_is_mounted_below(cli):
    out = run(
        cli, "--mount", "type=bind,src=/dev,dst=/v,bind-nonrecursive", NAME, "grep", "-c", " /v", "/proc/mounts"
    )
    assert out == "1\n"


@case()
def terminals_of_their_own(cli):
    assert run(cli, "--mount", "type=devpts,dst=/more", NAME, "ls", "/more") == "ptmx\n"


@case()
def memory_is_shared_between_containers(cli):
    start(cli, "--ipc", "shareable", name="first")
    cli("exec", "first", "sh", "-c", "echo there > /dev/shm/x").ok()
    assert run(cli, "--ipc", "container:first", NAME, "cat", "/dev/shm/x") == "there\n"


@case()
def root_file_systems_without_an_image(cli):
    folder = shared_folder(cli) + "/rootfs"
    os.makedirs(folder + "/bin")
    for name in ("dev", "proc", "sys", "etc", "run", "tmp"):
        os.mkdir(folder + "/" + name)
    with open("/bin/busybox", "rb") as source, open(folder + "/bin/busybox", "wb") as target:
        target.write(source.read())
    os.chmod(folder + "/bin/busybox", 0o755)
    os.symlink("busybox", folder + "/bin/sh")
    give(cli, folder)
    out = run(cli, "--read-only", "--rootfs", folder, "/bin/sh", "-c", "echo $$; /bin/busybox id -u")
    assert out == "1\n0\n"
    if cli.engine == "podman":
        out = run(cli, "--rootfs", folder + ":O", "/bin/sh", "-c", "echo x > /bin/new; /bin/busybox ls /bin")
        assert "new" in out
        assert not os.path.exists(folder + "/bin/new")


@case("rootless")
def mounted_on_the_host(cli):
    start(cli)
    assert read(cli("mount", "box").ok().out.strip() + "/data/file") == "from the image\n"
    cli("umount", "box").ok()


@case()
def names_and_addresses_are_configured(cli):
    flags = ["--add-host", "other:192.0.2.7", "--network", "none", "--hostname", "h.example"]
    out = run(cli, *flags, NAME, "cat", "/etc/hosts", "/etc/hostname")
    assert re.search(r"192\.0\.2\.7\s+other", out)
    assert "h.example" in out


@case()
def nothing_of_the_host_is_mounted(cli):
    """Only what a container is meant to see; among it no folder of the engine's but those of its own."""
    points = {line.split()[4] for line in run(cli, NAME, "cat", "/proc/self/mountinfo").splitlines()}
    others = {point for point in points if not re.match(r"/$|/(proc|sys|dev)(/|$)", point)}
    allowed = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/run/.containerenv", "/run/secrets"}
    assert others <= allowed, others - allowed
