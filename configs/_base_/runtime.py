"""What every run shares and no result depends on, but for the seed. All switches: ofhkit/config/settings.py."""

runtime = dict(
    seed=0,
    log_interval=50,
    checkpoint_interval=2000,  # also at least once a minute
    channels_last=True,
    validations=5,  # how often a stage is scored on val_images and draws its sample grid
    val_images=100,
)
evaluation = dict(
    batch_size=64,
    after_training=0,  # so many test faces are scored when training ends; 0: none
    metrics=dict(),  # beside the standard ones of tools/test.py; name=None leaves one out (lpips=None)
    sections=dict(),  # of your own in report.html
)
