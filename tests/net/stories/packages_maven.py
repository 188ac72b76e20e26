"""Maven: what one run of a session fetches the next one builds with, blocked.

SPDX-License-Identifier: Apache-2.0

A project of one class depends on an artifact and on a plugin, which compiles
and packs it at `mvn package`. Both come from a repository by the user's own
settings, into the cache that Maven has when nobody names one: below HOME.
"""

import glob
import os
import subprocess

from world import registry
from world.space import skip

from .clients_jvm import CDN, GROUP, HOST, QUICK, SETTINGS, trust
from .packages import Packages, Session, file
from .registries import CALLERS  # noqa: F401

# Java has no other way to be told where its home is than the user's entry
# of passwd, which is the session's.
MAVEN = (f"JAVA_TOOL_OPTIONS='{QUICK}' mvn -B -q -ntp package 2>&1 | "
         "grep -v '^Picked up'; ")
BUILT = f"java {QUICK} -jar target/project.jar"
LIBRARIES = "/usr/share/maven/lib/maven-"
MOJO = """
package test.exeat;

import java.io.File;
import java.io.FileOutputStream;
import java.nio.file.Files;
import java.util.Set;
import java.util.jar.*;
import java.util.zip.ZipEntry;
import javax.tools.ToolProvider;
import org.apache.maven.artifact.Artifact;
import org.apache.maven.plugin.*;

public class Build extends AbstractMojo {
    private Set<Artifact> artifacts;
    private File basedir;

    private void pack(File target) throws Exception {
        var manifest = new Manifest();
        var fields = manifest.getMainAttributes();
        var path = new StringBuilder();
        for (var artifact : artifacts)
            path.append(artifact.getFile().toURI()).append(' ');
        fields.put(Attributes.Name.MANIFEST_VERSION, "1.0");
        fields.put(Attributes.Name.MAIN_CLASS, "Main");
        fields.put(Attributes.Name.CLASS_PATH, path.toString());
        try (var out = new JarOutputStream(new FileOutputStream(
                new File(target, "project.jar")), manifest)) {
            out.putNextEntry(new ZipEntry("Main.class"));
            Files.copy(new File(target, "Main.class").toPath(), out);
        }
    }

    public void execute() throws MojoExecutionException {
        var target = new File(basedir, "target");
        target.mkdir();
        if (ToolProvider.getSystemJavaCompiler().run(null, null, null, "-d",
                target.getPath(), new File(basedir, "Main.java").getPath())
                != 0)
            throw new MojoExecutionException("javac");
        try {
            pack(target);
        } catch (Exception e) {
            throw new MojoExecutionException("pack", e);
        }
    }
}
"""
PLUGIN = f"""<plugin><groupId>{GROUP}</groupId>
<artifactId>exeat-build</artifactId><version>1.0</version>
<goalPrefix>build</goalPrefix><mojos><mojo><goal>build</goal>
<implementation>test.exeat.Build</implementation><language>java</language>
<requiresDependencyResolution>runtime</requiresDependencyResolution>
<requiresProject>true</requiresProject>
<instantiationStrategy>per-lookup</instantiationStrategy><parameters>
<parameter><name>artifacts</name><type>java.util.Set</type></parameter>
<parameter><name>basedir</name><type>java.io.File</type></parameter>
</parameters><configuration>
<artifacts implementation="java.util.Set">${{project.artifacts}}</artifacts>
<basedir implementation="java.io.File">${{project.basedir}}</basedir>
</configuration></mojo></mojos></plugin>
"""
PROJECT = registry.maven_pom(GROUP, "project", "pom", more=f"""<dependencies>
<dependency><groupId>{GROUP}</groupId><artifactId>demo</artifactId>
<version>1.0</version></dependency></dependencies><build><plugins><plugin>
<groupId>{GROUP}</groupId><artifactId>exeat-build</artifactId>
<version>1.0</version><executions><execution><phase>package</phase><goals>
<goal>build</goal></goals></execution></executions></plugin></plugins></build>
""")
MAIN = """class Main {
    public static void main(String[] args) throws Exception {
        System.out.write(
            Main.class.getResourceAsStream("/answer").readAllBytes());
        System.out.println();
    }
}
"""


def plugin(world):
    """The plugin's jar."""
    folder = os.path.join(world.root, "mojo")
    os.mkdir(folder)
    with open(os.path.join(folder, "Build.java"), "w", encoding="ascii") as f:
        f.write(MOJO)
    libraries = [path for name in ("plugin-api", "artifact")
                 for path in glob.glob(f"{LIBRARIES}{name}-*.jar")]
    subprocess.run(["javac", "-J-XX:TieredStopAtLevel=1", "-cp",
                    ":".join(libraries), "-d", folder,
                    os.path.join(folder, "Build.java")], check=True)
    with open(os.path.join(folder, "test/exeat/Build.class"), "rb") as f:
        return registry.archive_zip({"META-INF/maven/plugin.xml": PLUGIN,
                                     "test/exeat/Build.class": f.read()})


def story(world):
    checks = Packages(world)
    if not os.access(os.environ.get("EXEAT_DRIVE", ""), os.X_OK):
        skip("the driver is not built")
    if not checks.have("mvn") or not checks.have("javac"):
        return checks.status() if checks.done else skip("no Maven is here")
    trust(world)
    registry.maven(checks.store, GROUP, "demo",
                   registry.archive_zip({"answer": registry.ANSWER}))
    registry.maven(checks.store, GROUP, "exeat-build", plugin(world),
                   "maven-plugin")
    # Maven gives it to each plugin that does not name it.
    registry.maven(checks.store, "org.codehaus.plexus", "plexus-utils",
                   registry.archive_zip({"empty": ""}), version="1.1")
    session = Session(checks, world.folder("packages-maven"))
    session.step("maven: a project, and settings below HOME", [], " && ".join(
        [file("pom.xml", PROJECT), file("Main.java", MAIN),
         f"cd && {file('.m2/settings.xml', SETTINGS)}"]))
    session.step("maven: packed", [HOST, CDN], MAVEN + BUILT,
                 registry.ANSWER)
    session.step("maven: packed again, blocked", [], "rm -rf target && " +
                 MAVEN + BUILT, registry.ANSWER)
    session.step("maven: and used by the next run", [], BUILT,
                 registry.ANSWER)
    checks.check("the session ends", session.end() == 0)
    return checks.status()
