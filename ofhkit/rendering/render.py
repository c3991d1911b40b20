"""From a scene to a picture and its labels, layer by layer: backdrop, hair behind, head, glasses, hair, hat, camera."""

from typing import NamedTuple

import cv2
import numpy as np

from ofhkit.functional.face_labels import five_points
from ofhkit.rendering import hair, skin
from ofhkit.rendering.accessories import Glasses, backdrop, glasses
from ofhkit.rendering.atlas import WIDTH, Skin, load_atlas
from ofhkit.rendering.camera import LABEL, RENDER_SIZE, Camera, develop, landmarks68, reduce_labels, rotation, to_render
from ofhkit.rendering.head import BODY, EYE_L, EYE_R, TEETH_LOWER, TEETH_UPPER, TONGUE, load_head
from ofhkit.rendering.raster import Fragments, interpolate, load_visibility, rasterise
from ofhkit.rendering.scene import Scene, draw_scene, generator
from ofhkit.rendering.skin import look_up


class RenderedFace(NamedTuple):
    """A picture and what is known of it.

    Shape:
        - image: (3, 128, 128) uint8 RGB
        - landmarks: (68, 2) float32, pixels
        - parsing: (128, 128) uint8, see ``ofhkit.functional.face_labels.PARSING_LABELS``
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
    """The picture in the making at render size: linear light (3, H, W) and labels (H, W)."""

    def __init__(self, image: np.ndarray):
        self.image = image
        self.labels = np.zeros(image.shape[1:], np.uint8)

    def lay(self, color: np.ndarray, alpha: np.ndarray, label: int) -> None:
        """Lay a layer over the picture; it owns a pixel from half opacity on."""
        skin.over(self.image, alpha, color)
        self.labels[alpha > 0.5] = label


def render_scene(scene: Scene, rng: np.random.Generator) -> RenderedFace:
    """Render a scene; ``rng`` draws the details (noise, background shapes)."""
    head = load_head()
    points = head.shape(scene.weights)
    camera = frame(points, scene)
    canvas = Canvas(backdrop(scene, rng))
    layers = _shell_layers(scene, points, camera)
    if "behind" in layers:
        _lay_hair(canvas, layers["behind"], scene, None)
    near, exposure = _lay_head(canvas, scene, points, camera, layers.get("front"))
    drawn = glasses(points, points[head.landmarks], camera, scene) if scene.glasses != "none" else None
    if drawn is not None:
        canvas.lay(skin.linear(scene.glasses_color) * np.float32(0.6), drawn.temples, LABEL["glasses"])
    if "front" in layers:
        _lay_hair(canvas, layers["front"], scene, near)
    if "hat" in layers:
        _lay_hat(canvas, layers["hat"], scene, near)
    if drawn is not None:
        _lay_glasses(canvas, drawn, scene)
    image = develop(canvas.image, exposure, scene, rng)
    landmarks = landmarks68(head, points, camera).astype(np.float32)
    return RenderedFace(image, landmarks, reduce_labels(canvas.labels))


def _shell_layers(scene: Scene, points: np.ndarray, camera: Camera) -> dict[str, hair.Layer]:
    layers = {}
    if scene.hair != "bald":
        shell = hair.load_shell()
        edge = hair.lower_edge(scene, shell.azimuth)
        grid = shell.fit(points, hair.thickness(scene, shell, edge), 0.12 * scene.hair_wave)
        layers["front"] = hair.view(shell, grid, edge, camera, scene)
        if scene.hair in ("bob", "long"):
            layers["behind"] = hair.view(shell, grid, edge, camera, scene, facing=-1)
    if scene.hat != "none":
        layers["hat"] = hair.hat_view(scene, points, camera)
    return {name: layer for name, layer in layers.items() if layer is not None}


def _lay_hair(canvas: Canvas, layer: hair.Layer, scene: Scene, near: np.ndarray | None) -> None:
    """Lay hair where it is nearer than ``near``; without ``near`` it is the dark far side."""
    alpha, grain = hair.opacity(layer, scene)
    color = skin.linear(scene.hair_color)
    if near is None:
        color = color * np.float32(0.4)
    else:
        alpha = alpha * (layer.near > near)
    canvas.lay(skin.lit_hair(color, layer.light, layer.slant, grain, scene), alpha, LABEL["hair"])


def _lay_hat(canvas: Canvas, layer: hair.Layer, scene: Scene, near: np.ndarray) -> None:
    alpha = hair.hat_opacity(layer) * (layer.near > near)
    canvas.image *= 1 - np.float32(0.55) * _shadow(alpha, scene) * (1 - alpha)
    canvas.lay(hair.hat_color(layer, scene), alpha, LABEL["hat"])


def _lay_glasses(canvas: Canvas, drawn: Glasses, scene: Scene) -> None:
    shade = _shadow(drawn.frame, scene)
    canvas.image *= 1 - np.float32(0.3) * shade * (1 - drawn.frame)
    dark = scene.glasses == "sun"
    shine = np.linspace(0.07, 0, RENDER_SIZE, dtype=np.float32)[:, None]
    glass = [c * np.float32(0.3) + np.float32(s) * shine for c, s in zip(skin.linear(scene.glasses_color), scene.sky)]
    skin.over(canvas.image, drawn.lenses * np.float32(0.93 if dark else 0.06), np.stack(np.broadcast_arrays(*glass)))
    if dark:
        canvas.labels[drawn.lenses > 0.5] = LABEL["glasses"]
    metal = skin.linear(scene.glasses_color) * np.float32(scene.ambient + 0.6 * scene.key_strength)
    canvas.lay(metal, drawn.frame, LABEL["glasses"])


def _lay_head(
    canvas: Canvas, scene: Scene, points: np.ndarray, camera: Camera, cover: hair.Layer | None
) -> tuple[np.ndarray, float]:
    """Render skin, eyes, mouth and cloth; return the nearness (H, W) of what was drawn and the exposure for it."""
    head, atlas, visibility = load_head(), load_atlas(), load_visibility()
    xy, near = camera.project(points)
    triangles = head.triangles[: head.num_front]
    seen = rasterise(to_render(xy), near, triangles, RENDER_SIZE)
    normals = camera.rotate(head.normals(points))
    sun = visibility.from_light(camera.turn.T @ scene.key)
    vertex = np.stack([*atlas.coordinates.T, *normals.T, sun, visibility.openness, atlas.inside])
    values = interpolate(vertex, triangles, seen)
    n, sun, openness, inside = values[2:5], values[5], values[6], values[7]
    maps = Skin(atlas, values[0], values[1])
    group, covered = head.group[seen.triangle], seen.covered
    body = covered & (group == BODY)

    color, hairs, brow, bristles, height = _paint_skin(scene, maps, inside, body)
    bump_x, bump_y = (cv2.Sobel(height, cv2.CV_32F, *order, ksize=3, scale=0.16) for order in ((1, 0), (0, 1)))
    bumpy = skin.unit(np.stack([n[0] - bump_x, n[1] + bump_y, n[2]]))
    cloth = body & (maps["cloth"] + np.float32(scene.cloth_height) > 0)
    gloss = (maps["oil"] + np.float32(0.25)) * np.float32(0.16 * scene.shine) + maps["lips"] * np.float32(0.1)
    gloss *= (1 - bristles) * (1 - hairs) * ~cloth
    if cloth.any():
        weave = look_up("pores", maps.u[cloth], maps.v[cloth], scene.offsets[10])[0] * np.float32(0.06) + 1
        color[:, cloth] = skin.linear(scene.cloth_color)[:, None] * weave
    labels = _label_head(maps, body, group, inside, brow, cloth, covered)
    _paint_openings(scene, camera, seen, (color, n, sun, openness, gloss))
    if cover is not None:
        shadow = _shadow(hair.opacity(cover, scene)[0], scene)
        sun, openness = sun * (1 - np.float32(0.75) * shadow), openness * (1 - np.float32(0.4) * shadow)
    lit = skin.lit_skin(color, bumpy, sun, openness, gloss, scene)
    _glint(lit, group, n, scene)
    for plane, layer in zip(canvas.image, lit):
        np.copyto(plane, layer, where=covered)
    np.copyto(canvas.labels, labels, where=covered)
    brightness = float(lit[1][body].mean())
    return np.where(covered, seen.depth, np.float32(0)), scene.exposure * brightness**-0.55


def _paint_skin(scene: Scene, maps: Skin, inside: np.ndarray, body: np.ndarray) -> tuple[np.ndarray, ...]:
    """Reflectance (3, H, W); opacity and area of the brows, opacity of the beard and relief of the skin, (H, W)."""
    u, v = maps.u, maps.v
    mottle, pores = look_up("mottle pores", u, v, scene.offsets[3])
    color = skin.albedo(maps, scene, inside, pores, mottle)
    height = skin.relief(maps, scene, pores, mottle)
    hairs, brow = skin.brows(maps, scene)
    hairs *= np.float32(scene.brow_density) * body
    skin.over(color, hairs, skin.linear(scene.brow_color))
    skin.over(color, maps["lash"] * np.float32(0.75) * body, np.float32([0.012, 0.008, 0.007]))
    bristles = np.zeros_like(u)
    if scene.beard != "none":
        (fuzz,) = look_up("fuzz", u * np.float32(1.3), v, scene.offsets[1])
        bristles = skin.beard(maps, scene, fuzz, mottle) * body
        tone = np.clip(1 + np.float32(0.3) * fuzz, 0.3, 2)
        skin.over(color, bristles, [c * tone for c in skin.linear(scene.beard_color)])
        height += np.float32(0.25) * bristles * fuzz
    if scene.hair != "bald":
        scalp = skin.step(maps["hairline"], scene.hairline + 0.02, scene.hairline + 0.12) * body * np.float32(0.8)
        skin.over(color, scalp, skin.linear(scene.hair_color) * np.float32(0.7))
    return color, hairs, brow & body, bristles, height * (body * (1 - np.float32(0.8) * hairs))


def _paint_openings(scene: Scene, camera: Camera, seen: Fragments, surface: tuple[np.ndarray, ...]) -> None:
    """Color eyes, teeth and tongue, and set how light reaches them, in place."""
    head = load_head()
    color, n, sun, openness, gloss = surface
    where = np.nonzero(seen.covered & (head.group[seen.triangle] != BODY))
    group = head.group[seen.triangle[where]]
    r = camera.turn.astype(np.float32)
    for part in np.unique(group):
        at = tuple(axis[group == part] for axis in where)
        if part in (EYE_L, EYE_R):
            ball = n[(slice(None), *at)]
            ball = np.stack([ball[0] * r[0, k] + ball[1] * r[1, k] + ball[2] * r[2, k] for k in range(3)])  # head space
            (veins,) = look_up("pores", *ball[:2] * np.float32(90), scene.offsets[11])
            tint, light_in, sun[at] = skin.eyeball(ball, scene, veins), 0.7, 0.3 + 0.5 * sun[at]
        elif part == TONGUE:
            tint, light_in, sun[at] = skin.TONGUE[:, None], 0.3, 0.3
        else:
            corners = head.mean[head.triangles[seen.triangle[at]]]
            place = sum(corners[:, k].T * seen.weights[k][at] for k in range(3))
            tint, light_in, sun[at] = skin.teeth(place, part == TEETH_UPPER, scene), 0.75, 0.3 * sun[at] + 0.5
        color[(slice(None), *at)], openness[at], gloss[at] = tint, light_in, 0.0


def _shadow(alpha: np.ndarray, scene: Scene) -> np.ndarray:
    """Soft shadow that a layer throws on what is behind it: its opacity moved away from the light."""
    reach = 9 / max(scene.key[2], 0.4)
    matrix = np.float32([[1, 0, -scene.key[0] * reach], [0, 1, scene.key[1] * reach]])
    moved = cv2.warpAffine(alpha, matrix, (RENDER_SIZE, RENDER_SIZE), borderMode=cv2.BORDER_REPLICATE)
    return cv2.blur(moved, (11, 11))


def _glint(lit: np.ndarray, group: np.ndarray, n: np.ndarray, scene: Scene) -> None:
    """The catch-light: the main light mirrored on the wet eyeballs."""
    at = np.nonzero((group == EYE_L) | (group == EYE_R))
    lamp = scene.key * [0.55, 0.55, 1]
    mirror = skin.dot(n[(slice(None), *at)], skin.half_way(lamp / np.linalg.norm(lamp)))
    lit[(slice(None), *at)] += np.clip(mirror, 0, 1) ** 160 * np.float32(0.55 * (0.4 + scene.key_strength))


def _label_head(maps: Skin, body, group, inside, brow, cloth, covered) -> np.ndarray:
    """Labels (H, W) of what the mesh shows."""
    left = maps.u < (WIDTH - 1) / 2
    out = np.where(body, np.uint8(LABEL["skin"]), np.uint8(0))
    out[body & (maps["neck"] > 0.5)] = LABEL["neck"]
    out[body & (maps["ear"] > 0.5)] = LABEL["ear"]
    out[body & (maps["nose"] > 0.5)] = LABEL["nose"]
    out[brow & left], out[brow & ~left] = LABEL["left_brow"], LABEL["right_brow"]
    lips, upper = body & (maps["lips"] > 0.5), maps["lip_side"] > 0
    out[lips & upper], out[lips & ~upper] = LABEL["upper_lip"], LABEL["lower_lip"]
    out[body & (inside > 0.6)] = LABEL["inner_mouth"]
    out[cloth] = LABEL["cloth"]
    out[covered & np.isin(group, (TEETH_UPPER, TEETH_LOWER, TONGUE))] = LABEL["inner_mouth"]
    out[covered & (group == EYE_R)], out[covered & (group == EYE_L)] = LABEL["left_eye"], LABEL["right_eye"]
    return out
