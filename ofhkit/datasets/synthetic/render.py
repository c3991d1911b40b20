"""From a scene to a picture and its labels, layer by layer: backdrop, hair behind, head, glasses, hair, hat, camera."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from ofhkit.datasets.synthetic import eyes, hair, hats, light, skin
from ofhkit.datasets.synthetic.accessories import glasses
from ofhkit.datasets.synthetic.atlas import WIDTH, load_atlas
from ofhkit.datasets.synthetic.backdrop import backdrop
from ofhkit.datasets.synthetic.camera import RENDER_SIZE, Camera, develop, rotation, to_render
from ofhkit.datasets.synthetic.head import BODY, EYE_L, EYE_R, TEETH_LOWER, TEETH_UPPER, TONGUE, load_head
from ofhkit.datasets.synthetic.labels import LABEL, landmarks68, reduce_labels
from ofhkit.datasets.synthetic.noise import look_up
from ofhkit.datasets.synthetic.raster import interpolate, rasterise
from ofhkit.datasets.synthetic.scene import Scene, draw_scene, generator
from ofhkit.datasets.synthetic.visibility import load_visibility
from ofhkit.functional.landmarks import five_points


class RenderedFace(NamedTuple):
    """A picture and what is known of it.

    Shape:
        - image: (3, 128, 128) uint8 RGB
        - landmarks: (68, 2) float32, pixels
        - parsing: (128, 128) uint8, see ``ofhkit.functional.parsing.PARSING_LABELS``
    """

    image: np.ndarray
    landmarks: np.ndarray
    parsing: np.ndarray


def render_face(seed: int, split: str, index: int) -> RenderedFace:
    """Render face ``index`` of a split; the same arguments give the same face."""
    rng = generator(seed, split, index)
    return render_scene(draw_scene(load_head(), rng), rng)


def frame(points: np.ndarray, scene: Scene) -> Camera:
    """The scene's camera, aligned on the person's face."""
    head = load_head()
    lm = points[head.landmarks]
    centre = 0.55 * lm[36:48].mean(0) + 0.45 * lm[48:60].mean(0) - [0, 0, 0.3]
    camera = Camera(rotation(scene.yaw, scene.pitch, scene.roll), centre, scene.distance)
    return camera.aligned(five_points(camera.project(lm)[0]))


class Canvas:
    """The picture in the making: linear light (H, W, 3), labels (H, W) and nearness (H, W), at render size."""

    def __init__(self, image: np.ndarray):
        self.image = image
        self.labels = np.zeros(image.shape[:2], np.uint8)

    def lay(self, colour: np.ndarray, alpha: np.ndarray, label: int) -> None:
        """Lay a layer over the picture; it owns a pixel from half opacity on."""
        skin.over(self.image, alpha, colour)
        self.labels[alpha > 0.5] = label


def render_scene(scene: Scene, rng: np.random.Generator) -> RenderedFace:
    """Render a scene; ``rng`` draws the details (noise, background shapes)."""
    head = load_head()
    points = head.shape(scene.weights)
    camera = frame(points, scene)
    canvas = Canvas(backdrop(scene, rng))
    layers = _hair_layers(scene, points, camera)
    if "behind" in layers:
        _lay_hair(canvas, layers["behind"], scene, np.float32(0.35))
    near = _lay_head(canvas, scene, points, camera, layers.get("front"))
    drawn = glasses(points, points[head.landmarks], camera, scene) if scene.glasses != "none" else None
    if drawn is not None:
        canvas.lay(skin.linear(scene.glasses_colour) * 0.6, drawn.temples, LABEL["glasses"])
    if "front" in layers:
        _lay_hair(canvas, layers["front"], scene, np.float32(1), near)
    if "hat" in layers:
        _lay_hat(canvas, layers["hat"], scene, near)
    if drawn is not None:
        _lay_glasses(canvas, drawn, scene)
    image = develop(canvas.image, scene, rng)
    landmarks = landmarks68(head, points, camera).astype(np.float32)
    return RenderedFace(np.ascontiguousarray(image.transpose(2, 0, 1)), landmarks, reduce_labels(canvas.labels))


def _hair_layers(scene: Scene, points: np.ndarray, camera: Camera) -> dict[str, hair.Layer]:
    layers = {}
    if scene.hair != "bald":
        shell = hair.load_shell()
        edge = hair.lower_edge(scene, shell.azimuth)
        grid = shell.fit(points, hair.thickness(scene, shell, edge), 0.12 * scene.hair_wave)
        layers["front"] = hair.view(shell, grid, edge, camera)
        if scene.hair in ("bob", "long"):
            layers["behind"] = hair.view(shell, grid, edge, camera, facing=-1)
    if scene.hat != "none":
        layers["hat"] = hats.view(scene, points, camera)
    return {name: layer for name, layer in layers.items() if layer is not None}


def _lay_hair(
    canvas: Canvas, layer: hair.Layer, scene: Scene, gain: np.float32, near: np.ndarray | None = None
) -> None:
    alpha, grain = hair.opacity(layer, scene)
    if near is not None:
        alpha = alpha * (layer.near > near)
    colour = skin.linear(scene.hair_colour) * np.clip(1 + 0.3 * grain, 0.25, 2.2)[..., None]
    lit = light.lit_hair(colour, light.unit(layer.normal), light.unit(layer.along), grain, 0.12, scene)
    canvas.lay(lit * gain, alpha, LABEL["hair"])


def _lay_hat(canvas: Canvas, layer: hair.Layer, scene: Scene, near: np.ndarray) -> None:
    alpha = hats.opacity(layer) * (layer.near > near)
    canvas.image *= (1 - 0.55 * _shadow(alpha, scene) * (1 - alpha))[..., None]
    gloss = openness = np.ones_like(alpha)
    lit = light.lit_skin(hats.cloth(layer, scene), light.unit(layer.normal), openness, openness, 0.02 * gloss, scene)
    canvas.lay(lit, alpha, LABEL["hat"])


def _lay_head(canvas: Canvas, scene: Scene, points: np.ndarray, camera: Camera, cover: hair.Layer | None) -> np.ndarray:
    """Render skin, eyes, mouth and cloth; return the nearness (H, W) of what was drawn."""
    head, atlas, visibility = load_head(), load_atlas(), load_visibility()
    xy, near = camera.project(points)
    seen = rasterise(to_render(xy), near, head.triangles, RENDER_SIZE)
    normals = head.normals(points)
    sun = visibility.from_light(camera.turn.T @ scene.key)
    vertex = np.column_stack([atlas.coordinates, camera.rotate(normals), sun, visibility.openness, atlas.inside])
    u, v, nx, ny, nz, sun, openness, inside = interpolate(vertex.astype(np.float32), head.triangles, seen)
    maps = atlas.look_up(u, v)
    group = head.group[seen.triangle]
    covered = seen.covered
    body = covered & (group == BODY)

    colour = skin.albedo(maps, scene, u, v, inside)
    hairs = skin.brows(maps, scene, u, v) * body
    skin.over(colour, hairs * np.float32(scene.brow_density), skin.linear(scene.brow_colour))
    skin.over(colour, np.clip(maps["lash"], 0, 1) * np.float32(0.75) * body, np.float32([0.012, 0.008, 0.007]))
    beard = skin.beard(maps, scene, u, v) * body
    fuzz = look_up("fuzz", u * 1.4, v * 1.1, scene.offsets[10])
    skin.over(colour, beard, skin.linear(scene.hair_colour * 0.85) * np.clip(1 + 0.35 * fuzz, 0.3, 2)[..., None])
    if scene.hair != "bald":
        scalp = skin.step(maps["hairline"] - np.float32(scene.hairline + 0.02), 0.0, 0.1) * body * np.float32(0.8)
        skin.over(colour, scalp, skin.linear(scene.hair_colour) * 0.7)
    cloth = body & (maps["cloth"] + np.float32(scene.cloth_height) > 0)
    colour[cloth] = skin.linear(scene.cloth_colour) * (1 + 0.08 * fuzz[cloth])[:, None]

    height = skin.relief(maps, scene, u, v) * body * (1 - 0.8 * hairs)
    height += 0.35 * beard * fuzz
    bump_x, bump_y = (cv2.Sobel(height, cv2.CV_32F, *order, ksize=3, scale=0.16) for order in ((1, 0), (0, 1)))
    n = light.unit(np.stack([nx - bump_x, ny + bump_y, nz]))

    gloss = np.float32(0.16 * scene.shine) * (np.float32(0.25) + maps["oil"]) + np.float32(0.12) * maps["lips"]
    gloss = gloss * (1 - beard) * (1 - hairs) * ~cloth
    labels = _label_head(maps, body, group, inside, hairs, cloth, covered, u)
    for label in (EYE_R, EYE_L):
        m = group == label
        ball = _unturn(np.stack([nx[m], ny[m], nz[m]], 1), camera)
        colour[m] = eyes.eyeball(ball, scene, look_up("pores", u, v, scene.offsets[11])[m])
        gloss[m] = 0.0
        openness[m] = 0.75
        sun[m] = 0.35 + 0.5 * sun[m]
    for part in (TEETH_UPPER, TEETH_LOWER, TONGUE):
        m = covered & (group == part)
        if m.any():
            tint = np.float32([0.28, 0.07, 0.07])
            if part != TONGUE:
                corners = head.mean[head.triangles[seen.triangle[m]]]
                place = (corners * seen.weights[:, m].T[..., None]).sum(1)
                tint = eyes.teeth(place, np.full(m.sum(), part == TEETH_UPPER), scene)
            colour[m], gloss[m] = tint, 0.05
            openness[m], sun[m] = 0.65, 0.55 * sun[m] + 0.2
    if cover is not None:
        shadow = _shadow(hair.opacity(cover, scene)[0], scene)
        sun, openness = sun * (1 - 0.75 * shadow), openness * (1 - 0.4 * shadow)
    lit = light.lit_skin(colour, n, sun, openness, gloss, scene)
    _glint(lit, group, np.stack([nx, ny, nz]), scene)
    canvas.image[covered] = lit[covered]
    canvas.labels[covered] = labels[covered]
    return np.where(covered, seen.depth, np.float32(0))


def _unturn(normals: np.ndarray, camera: Camera) -> np.ndarray:
    """Camera-space directions (N, 3) back in the head's space."""
    r = camera.turn.astype(np.float32)
    return np.stack([normals[:, 0] * r[0, k] + normals[:, 1] * r[1, k] + normals[:, 2] * r[2, k] for k in range(3)], 1)


def _shadow(alpha: np.ndarray, scene: Scene) -> np.ndarray:
    """Soft shadow that a layer throws on what is behind it: its opacity moved away from the light."""
    reach = 9 / max(scene.key[2], 0.4)
    matrix = np.float32([[1, 0, -scene.key[0] * reach], [0, 1, scene.key[1] * reach]])
    moved = cv2.warpAffine(alpha, matrix, (RENDER_SIZE, RENDER_SIZE), borderMode=cv2.BORDER_REPLICATE)
    return cv2.blur(moved, (11, 11))


def _glint(lit: np.ndarray, group: np.ndarray, n: np.ndarray, scene: Scene) -> None:
    """The catch-light: the main light mirrored on the wet eyeballs."""
    ball = (group == EYE_L) | (group == EYE_R)
    lamp = scene.key * [0.55, 0.55, 1]
    h = light.half_way(lamp / np.linalg.norm(lamp))
    mirror = n[0][ball] * np.float32(h[0]) + n[1][ball] * np.float32(h[1]) + n[2][ball] * np.float32(h[2])
    lit[ball] += (np.clip(mirror, 0, 1) ** 160 * np.float32(0.55 * (0.4 + scene.key_strength)))[:, None]


def _lay_glasses(canvas: Canvas, drawn, scene: Scene) -> None:
    shade = _shadow(drawn.frame, scene)
    canvas.image *= (1 - 0.25 * shade * (1 - drawn.frame))[..., None]
    dark = scene.glasses == "sun"
    y = np.linspace(1, 0, RENDER_SIZE, dtype=np.float32)[:, None, None]
    glass = skin.linear(scene.glasses_colour) * 0.3 + np.float32(0.06) * scene.sky.astype(np.float32) * y
    skin.over(canvas.image, drawn.lenses * np.float32(0.93 if dark else 0.05), glass)
    if dark:
        canvas.labels[drawn.lenses > 0.5] = LABEL["glasses"]
    metal = skin.linear(scene.glasses_colour) * np.float32(scene.ambient + 0.6 * scene.key_strength)
    canvas.lay(metal, drawn.frame, LABEL["glasses"])


def _label_head(maps, body, group, inside, hairs, cloth, covered, u) -> np.ndarray:
    """Labels (H, W) of what the mesh shows."""
    left = u < (WIDTH - 1) / 2
    out = np.where(body, np.uint8(LABEL["skin"]), np.uint8(0))
    out[body & (maps["neck"] > 0.5)] = LABEL["neck"]
    out[body & (maps["ear"] > 0.5)] = LABEL["ear"]
    out[body & (maps["nose"] > 0.5)] = LABEL["nose"]
    out[(hairs > 0.4) & left], out[(hairs > 0.4) & ~left] = LABEL["left_brow"], LABEL["right_brow"]
    lips = body & (maps["lips"] > 0.5)
    out[lips] = np.where(maps["lip_side"][lips] > 0, np.uint8(LABEL["upper_lip"]), np.uint8(LABEL["lower_lip"]))
    out[body & (inside > 0.6)] = LABEL["inner_mouth"]
    out[cloth] = LABEL["cloth"]
    out[covered & np.isin(group, (TEETH_UPPER, TEETH_LOWER, TONGUE))] = LABEL["inner_mouth"]
    out[covered & (group == EYE_R)], out[covered & (group == EYE_L)] = LABEL["left_eye"], LABEL["right_eye"]
    return out
